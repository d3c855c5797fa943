"""From a phone's question to its configuration: which phone, which file, with what proof."""
