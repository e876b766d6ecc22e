-- id: timestamp-forged
-- title: Time of a system file was set
-- description: touch gave a file among the system's the time of another one, or one of its own
--   choice. What was put there then looks as old as the rest.
-- severity: medium
-- tags: attack.stealth, attack.t1070.006
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1070/006/
-- falsepositives: builds of images that want the same times everywhere
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND coalesce(parent_command_line, '') !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND (executable_path ~ '/touch$' OR invoked_path ~ '(^|/)touch$')
  AND command_line ~ ' (-[a-z]*[rtd]( |[0-9])|--(reference|date)[ =])'
  AND command_line ~ ' /((usr/)?(s?bin|lib|lib64)/|etc/|root/|var/www/|boot/|dev/shm/)[^ ]+$'
  AND command_line !~ '/(stamp|\.stamp|[^ /]*timestamp)[^ /]*$'
