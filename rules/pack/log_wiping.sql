-- id: log-wiping
-- title: System log was deleted or emptied
-- description: A command deletes, overwrites or empties the logs that tell who logged
--   in and what the system did.
-- severity: high
-- tags: attack.defense-impairment, attack.stealth, attack.t1685.006, attack.t1070
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1070/
-- falsepositives: scripts that clean an image before it is published
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23

-- The scripts of packages remove logs when a package is purged.
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND coalesce(parent_command_line, '') !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND command_line !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND (
    (executable_path ~ '/(rm|shred|unlink|truncate|dd|wipe|srm|coreutils|busybox)$'
      AND command_line ~ '/var/(log/(\*|(syslog|messages|auth\.log|secure|kern\.log|wtmp|btmp|lastlog|faillog|audit|journal)([ /*]|$))|run/utmp|log/?( |$))')
    OR (executable_path ~ '/(ba|da|k|z)?sh$'
      AND command_line ~ '(^|[^0-9>&])>\|? *(/var/log/(syslog|messages|auth\.log|secure|kern\.log|wtmp|btmp|lastlog|faillog|audit/audit\.log)|/var/run/utmp|/run/utmp)([ ;&]|$)')
    OR (executable_path ~ '/journalctl$' AND command_line ~ '--vacuum-(time|size)[= ]1?[0-9]?(s|K|B)?( |$)')
  )
