-- id: own-maps-opened
-- title: Maps of DaemonEye's programs in the kernel were opened
-- description: A process opened one of the maps of the eBPF programs for writing, by its
--   id. With it, it can switch events off or take them from the ring buffer.
-- severity: medium
-- tags: attack.defense-impairment, attack.t1685
-- dedup: entity_id
-- window: 1h
-- falsepositives: tools that list all eBPF maps, such as bpftool map
-- references: https://attack.mitre.org/techniques/T1685/
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01

-- BPF_F_RDONLY is 8.
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_command_line, operation, success, arguments
FROM kernel_events
WHERE event = 'bpf' AND operation = 'BPF_MAP_GET_FD_BY_ID'
  AND target_protected AND NOT protected
  AND coalesce((arguments->>'open_flags')::int, 0) <> 8
