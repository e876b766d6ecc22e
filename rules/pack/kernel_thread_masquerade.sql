-- id: kernel-thread-masquerade
-- title: Program pretends to be a kernel thread
-- description: A process shows a name in square brackets, as ps does for threads of the
--   kernel, but it has an executable file. Implants do this to be overlooked.
-- severity: high
-- tags: attack.stealth, attack.t1036.004, attack.t1036.011
-- dedup: executable_path, user_id
-- window: 1d
-- references: https://attack.mitre.org/techniques/T1036/004/, https://attack.mitre.org/techniques/T1036/011/
-- falsepositives: none are known
-- author: DaemonEye
-- version: 2
-- date: 2026-11-23
SELECT time, entity_id, pid, ppid, user_name, name, executable_path, invoked_path, command_line, parent_executable_path
FROM process_events
WHERE event IN ('exec', 'seen', 'changed')
  AND kernel_thread = false
  AND executable_path IS NOT NULL
  AND starts_with(invoked_path, '[')
  AND invoked_path ~ '^\[[a-z][^] ]*\]?$'
