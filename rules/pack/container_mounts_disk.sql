-- id: container-mounts-disk
-- title: Container mounted a disk or opened files by number
-- description: From within a container a file system of a disk was mounted, or a file was
--   opened by its number past all directories. Both lead to the files of the host.
-- severity: high
-- tags: attack.privilege-escalation, attack.t1611
-- dedup: container_id, event
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1611/
-- falsepositives: storage drivers that run in a container
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, container_id, event, path, object_name
FROM kernel_events
WHERE success
  AND container_id IS NOT NULL
  AND (
    (event = 'mount' AND object_name IN ('ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'vfat', 'f2fs', 'zfs'))
    OR event = 'open_by_handle'
  )
