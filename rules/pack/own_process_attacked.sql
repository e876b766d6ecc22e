-- id: own-process-attacked
-- title: A process of DaemonEye was attacked
-- description: A process that is not DaemonEye's own sent one of its processes a signal
--   that ends or stops it, traced it, reached for its memory or its descriptors, set
--   its limits, moved it to another control group or froze that; or tried to.
-- severity: high
-- tags: attack.defense-impairment, attack.t1685, attack.stealth, attack.t1055
-- dedup: entity_id, target_entity_id, event
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1685/, https://attack.mitre.org/techniques/T1055/
-- falsepositives: an administrator who kills or debugs it by hand
-- author: DaemonEye
-- version: 2
-- date: 2026-11-30

-- Process 1 stops services on request (the command that asked is
-- security-tool-stopped). SIGHUP loads rules; SIGCONT, SIGCHLD, SIGURG and
-- SIGWINCH do nothing. A Ctrl-C comes from the kernel. Who killed the collector
-- is not known: the programs that could tell ended with it.
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_command_line, event, system_call, operation, object_name, arguments, success,
  target_pid, target_name
FROM kernel_events
WHERE target_protected AND NOT protected AND pid IS DISTINCT FROM 1
  AND (
    event IN ('ptrace', 'process_vm_read', 'process_vm_write', 'process_memory_open', 'process_memory_read', 'pidfd_getfd', 'set_limits',
      'cgroup_move', 'cgroup_freeze')
    OR (event = 'signal' AND signal NOT IN (0, 1, 17, 18, 23, 28))
  )
