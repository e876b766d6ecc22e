-- id: bpf-from-unusual-place
-- title: eBPF program was loaded by a program outside the system's directories
-- description: Code was put into the kernel by a program that no package has put there.
--   Rootkits and sniffers do so without a module.
-- severity: high
-- tags: attack.stealth, attack.persistence, attack.t1014, attack.t1205.002
-- dedup: executable_path
-- window: 1d
-- references: https://attack.mitre.org/techniques/T1014/
-- falsepositives: development of eBPF programs
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, object_name, arguments, parent_command_line
FROM kernel_events
WHERE event = 'bpf' AND operation = 'BPF_PROG_LOAD' AND success
  AND NOT protected
  AND executable_path !~ '^/(usr|bin|sbin|lib|opt|snap|nix)/'
  AND executable_path !~ '^/tmp/go-build[0-9]+/'
  AND coalesce(parent_executable_path, '') !~ '^/tmp/go-build[0-9]+/'
  AND container_id IS NULL
