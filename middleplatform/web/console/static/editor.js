// Filled by make console-assets.
