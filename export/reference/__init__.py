"""The published model in torch, under upstream's parameter names: what graphs are held against.

Written out instead of imported. transformers renames parameters, fuses experts and changes numbers
between its releases, and has no way to run one decoder layer of a model larger than memory; timm
brings torchvision for sixty lines of RegNet. The stored results of the published implementation
(tests/data/golden) say that these modules are the same model.
"""
