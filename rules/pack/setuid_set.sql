-- id: setuid-set
-- title: Setuid bit was set on a file
-- description: chmod gave a file the setuid bit, by which whoever starts it becomes its
--   owner. A copy of a shell with this bit is a lasting way to root.
-- severity: high
-- tags: attack.privilege-escalation, attack.persistence, attack.t1548.001
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1548/001/
-- falsepositives: software that is installed from source
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23

-- Packages set the bit in their scripts, and package builds in debian/.
SELECT time, entity_id, pid, user_name, command_line, cwd, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (executable_path ~ '/(chmod|busybox|coreutils)$' OR invoked_path ~ '(^|/)chmod$')
  AND command_line ~ '(^|/)chmod '
  AND command_line ~ ' (0?[4567][0-7][0-7][0-7]|([ugoa]*u[ugoa]*|a?)[+=][rwxXt]*s[rwxXst]*(,[^ ]*)?)( |$)'
  AND command_line !~ ' (\./)?debian/'
  AND coalesce(parent_command_line, '') !~ '/var/lib/dpkg/(info|tmp\.ci)/'
