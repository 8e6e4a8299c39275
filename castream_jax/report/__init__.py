"""What people read of an evaluation: tables, intervals, comparisons, and the page that shows images one by one."""
