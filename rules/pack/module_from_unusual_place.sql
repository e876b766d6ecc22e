-- id: module-from-unusual-place
-- title: Kernel took a module from an unusual file
-- description: A module was loaded whose file is not below the directory of the kernel's
--   modules, by whatever program.
-- severity: high
-- tags: attack.persistence, attack.stealth, attack.t1547.006, attack.t1014
-- dedup: path
-- window: 1d
-- references: https://attack.mitre.org/techniques/T1547/006/,
--   https://attack.mitre.org/techniques/T1014/
-- falsepositives: development of kernel modules, drivers that load their own
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, path, object_name, parent_command_line
FROM kernel_events
WHERE event = 'module_load' AND success
  AND path IS NOT NULL
  AND path !~ '^(/usr)?/lib/modules/'
  AND path !~ '^/(var/lib/dkms|usr/src)/'
