-- id: preload-file-written
-- title: List of preloaded libraries was written
-- description: /etc/ld.so.preload names libraries that are loaded into every program
--   that starts, also into those of root. Root kits hide behind it; hardly anything
--   else uses it.
-- severity: high
-- tags: attack.persistence, attack.privilege-escalation, attack.t1574.006
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1574/006/
-- falsepositives: tools such as snoopy or jemalloc that an administrator installs this way
-- author: DaemonEye
-- version: 1
-- date: 2026-11-30
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path
FROM file_events
WHERE error IS NULL
  AND (
    (path = '/etc/ld.so.preload' AND event IN ('write', 'create', 'link', 'symlink'))
    OR (target_path = '/etc/ld.so.preload' AND event = 'rename')
  )
