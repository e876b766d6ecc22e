-- id: immutable-flag
-- title: File was protected against removal
-- description: chattr made a file of the system, or one in a temporary directory, such that
--   even root can not change it until the flag is gone. Malware keeps its files so.
-- severity: medium
-- tags: attack.persistence, attack.stealth, attack.t1222.002
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1222/002/
-- falsepositives: administrators who protect /etc/resolv.conf and the like
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND coalesce(parent_command_line, '') !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND executable_path ~ '/chattr$'
  AND command_line ~ ' \+[a-zA-Z]*[ia]'
  AND command_line ~ ' /(etc|usr|bin|sbin|lib|root|tmp|var|dev|home)/'
  AND command_line !~ ' /etc/resolv\.conf$'
  AND command_line !~ ' /var/log/journal'
