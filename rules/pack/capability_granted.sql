-- id: capability-granted
-- title: File was given capabilities that lead to root
-- description: setcap gave a file capabilities by which whoever starts it can become root, read
--   every file or load code into the kernel.
-- severity: high
-- tags: attack.privilege-escalation, attack.persistence, attack.t1548
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1548/
-- falsepositives: software that is installed by hand
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND coalesce(parent_command_line, '') !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND executable_path ~ '/setcap$'
  AND command_line ~* '(cap_(setuid|setgid|setfcap|dac_override|dac_read_search|chown|fowner|sys_admin|sys_ptrace|sys_module|sys_rawio|bpf)[^ ]*|(^| )(all)?)[=+][a-z]*[ei]'
