-- id: login-memory-read
-- title: Memory of a program that knows passwords was read
-- description: The memory of a program that handles passwords or keys was read by another one.
-- severity: high
-- tags: attack.credential-access, attack.t1003.007
-- dedup: executable_path, target_name
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1003/007/
-- falsepositives: debuggers under a name that is not known here
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, event, target_pid, target_name, parent_command_line
FROM kernel_events
WHERE success
  AND event IN ('process_vm_read', 'process_memory_open', 'ptrace')
  AND target_entity_id <> entity_id
  AND target_name ~ '^(sshd|sshd-session|ssh-agent|gpg-agent|gnome-keyring-d|kwalletd[56]?|sudo|su|login|gdm-[a-z-]+|lightdm|sddm[a-z-]*|vsftpd|passwd|polkitd)$'
  AND coalesce(executable_path, '') !~ '/(gdb|strace|ltrace|systemd-coredump|abrt-[a-z-]+|apport)$'
