-- id: kernel-hardening-off
-- title: Protection of the kernel was switched off
-- description: A command switches off the random layout of memory, the bounds of ptrace, the
--   lock on kernel addresses or the access control of the kernel.
-- severity: medium
-- tags: attack.defense-impairment, attack.privilege-escalation, attack.t1685
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1685/
-- falsepositives: developers who debug
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    (executable_path ~ '/sysctl$' AND command_line ~ '(kernel\.(randomize_va_space|yama\.ptrace_scope|kptr_restrict|dmesg_restrict)|fs\.(protected_[a-z]+|suid_dumpable)) *= *[0]( |$)')
    OR (executable_path ~ '/sysctl$' AND command_line ~ '(kernel\.(unprivileged_bpf_disabled|modules_disabled) *= *0|fs\.suid_dumpable *= *1)')
    OR (executable_path ~ '/((ba|da|k|z)?sh|coreutils|busybox)$' AND command_line ~ 'echo +["'']?0["'']? *> *["'']?/proc/sys/kernel/(randomize_va_space|yama/ptrace_scope|kptr_restrict)')
  )
