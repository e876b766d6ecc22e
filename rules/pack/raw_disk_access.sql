-- id: raw-disk-access
-- title: Disk or memory was read past the file system
-- description: A command reads or writes a disk or the memory of the host directly. Permissions
--   of files do not count there.
-- severity: medium
-- tags: attack.stealth, attack.credential-access, attack.t1006
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1006/
-- falsepositives: copies of disks, repair of file systems
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND coalesce(parent_command_line, '') !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND (
    (executable_path ~ '/debugfs$' AND command_line ~ ' /dev/')
    OR (executable_path ~ '/(dd|cat|xxd|strings|hexdump|od|grep|coreutils|busybox)$' AND command_line ~ '(if=| )/dev/(sd[a-z]|nvme[0-9]|vd[a-z]|xvd[a-z]|dm-[0-9]|mapper/|mem( |$)|kmem( |$)|port( |$))')
    OR command_line ~ '(^|[ /])(cat|dd|strings) [^|;]*/proc/kcore'
  )
