-- id: admin-group-joined
-- title: User was put into a group of administrators
-- description: A command adds a user to a group whose members may become root.
-- severity: medium
-- tags: attack.persistence, attack.privilege-escalation, attack.t1098.007
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1098/007/
-- falsepositives: administrators who give somebody rights
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND coalesce(parent_command_line, '') !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND (
    (executable_path ~ '/usermod$' AND command_line ~ ' (-[a-z]*G|--groups)[ =]?([a-z0-9_,-]+,)?(sudo|wheel|root|admin|adm|docker|lxd|disk|shadow|libvirt)(,| |$)')
    OR (executable_path ~ '/gpasswd$' AND command_line ~ ' (-a|--add)[ =]?[^ ]+ (sudo|wheel|root|admin|adm|docker|lxd|disk|shadow|libvirt)( |$)')
    OR (command_line ~ '(^|[ /])(adduser|addgroup) (-[^ ]+ )*[a-z0-9_.-]+ (sudo|wheel|root|admin|adm|docker|lxd|disk|shadow|libvirt)$')
  )
