"""Feeds each reader with files that are right, hostile or damaged, and counts how it ends; `__main__` says how to call it.

    case, watch     an input with what is known of it; how it ends: right, one message, or one of the failures
    worker          a process for each reader, which is started again when it dies
    mutation        damage to bytes
    special_files   what a file system has beside regular files
    weights, pictures, boxes, configs   the readers: `*_files` holds what they should read, `hostile_*` what not
"""
