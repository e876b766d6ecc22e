-- id: process-injection
-- title: Process wrote into the memory of another
-- description: A process changed the memory or the registers of another one, by ptrace,
--   process_vm_writev or /proc/PID/mem. So does code that hides in a running program.
-- severity: high
-- tags: attack.stealth, attack.privilege-escalation, attack.t1055, attack.t1055.008, attack.t1055.009
-- dedup: executable_path, target_executable_path
-- window: 6h
-- references: https://attack.mitre.org/techniques/T1055/
-- falsepositives: debuggers and tools that move processes, under a name that is not known here
-- author: DaemonEye
-- version: 1
-- date: 2026-11-30

SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_command_line, event, operation,
  target_pid, target_name, target_executable_path
FROM kernel_events
WHERE success
  AND target_entity_id <> entity_id
  AND (
    event IN ('process_vm_write', 'process_memory_open')
    OR (event = 'ptrace' AND operation IN ('PTRACE_POKETEXT', 'PTRACE_POKEDATA', 'PTRACE_POKEUSER', 'PTRACE_SETREGS', 'PTRACE_SETREGSET'))
  )
  AND coalesce(executable_path, '') !~ '/(gdb|gdbserver|lldb-?[a-z0-9.-]*|strace|ltrace|rr|dlv|criu|valgrind|wineserver|wine64?-preloader|uftrace|bpftrace)$'
