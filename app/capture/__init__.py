"""Camera and microphone, recorded into the last N seconds: no Qt, no model, no file.

`Recorder` is the front door. Camera and microphone each have a thread that opens the device, again
and again with growing pauses, and puts what it gives into a ring of fixed size, stamped by
`time.monotonic`. OpenCV and sounddevice are imported when a device is opened; both come with the
extra `live`.
"""
