"""How the program is frozen (`build.spec`): what goes in, its licences, its icon, its package."""
