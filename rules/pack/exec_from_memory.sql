-- id: exec-from-memory
-- title: Program runs from memory
-- description: The executable lies in shared memory, or in an anonymous file that
--   never had a name on disk. Both leave nothing behind for an examiner.
-- severity: high
-- tags: attack.stealth, attack.t1620, attack.t1027.011
-- dedup: executable_path, user_id
-- window: 6h
-- references: https://attack.mitre.org/techniques/T1620/, https://attack.mitre.org/techniques/T1027/011/
-- falsepositives: container runtimes that run a sealed copy of themselves under a name that is not known here
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23

-- runc and crun copy themselves into a memfd so that a container can not
-- overwrite the runtime (CVE-2019-5736).
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path
FROM process_events
WHERE event IN ('exec', 'seen')
  AND executable_path ~ '^/(dev/shm|run/shm|dev/mqueue|memfd:)'
  AND executable_path !~ '^/memfd:(runc_cloned|crun|libcrun|youki)'
