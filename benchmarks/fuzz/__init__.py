"""Feeds each reader with files that are right, hostile or damaged, and counts how it ends: see `__main__`.

case, watch     an input with what is known of it; how it ends: right, one message, or one of the failures
worker          a process for each reader, which is started again when it dies
mutation        damage to bytes
special_files   what a file system has beside regular files of a sensible size
weights, pictures, boxes (with class_lists), configs
                the readers: `*_files` and `*_bytes` write what they read, `hostile_*` what they should refuse
"""
