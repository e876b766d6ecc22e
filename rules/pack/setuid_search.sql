-- id: setuid-search
-- title: Files with special rights were searched
-- description: A command goes through the file system for files with the setuid bit or with
--   capabilities, the first step to raise one's rights.
-- severity: medium
-- tags: attack.discovery, attack.privilege-escalation, attack.t1083, attack.t1548.001
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1083/
-- falsepositives: audits, reports of a distribution on changed files
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND coalesce(parent_command_line, '') !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND (
    (executable_path ~ '/(find|busybox)$' AND command_line ~ ' -perm +[-/]?(0?[4567]000|u[=+]s|[ug,]*[=+]s)')
    OR (executable_path ~ '/getcap$' AND command_line ~ ' -[a-z]*r[a-z]* .*/( |$)')
  )
  AND coalesce(parent_command_line, '') !~ '(/etc/cron\.|run-parts|checksecurity|rkhunter|lynis)'
