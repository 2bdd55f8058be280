"""What an operator does now and then: qualify a PACS, break the glass."""
