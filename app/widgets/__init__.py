"""Everything with Qt: one view a file; a widget takes data and gives signals, never the app."""
