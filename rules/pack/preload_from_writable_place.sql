-- id: preload-from-writable-place
-- title: Library was preloaded from a place where anyone may write
-- description: A program was started with LD_PRELOAD or LD_AUDIT, and the library lies in a
--   temporary directory, in shared memory or under a hidden name. It runs inside that program
--   and can hide files, read passwords or change what it does. Of variables that are longer
--   than 32 KiB together the library can be missing: environment_truncated is true then.
-- severity: high
-- tags: attack.persistence, attack.privilege-escalation, attack.stealth, attack.t1574.006
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1574/006/
-- falsepositives: developers who try a library
-- author: DaemonEye
-- version: 2
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line, environment_vars
FROM process_events
WHERE event IN ('exec', 'seen')
  AND environment_vars IS NOT NULL
  AND (
    coalesce(environment_vars ->> 'LD_PRELOAD', '') ~ '(^|[: ])(/tmp/|/var/tmp/|/dev/shm/|/run/shm/|[^ :]*/\.[^/ :.]+[^/ :]*\.so)'
    OR coalesce(environment_vars ->> 'LD_AUDIT', '') ~ '(^|[: ])(/tmp/|/var/tmp/|/dev/shm/|/run/shm/)'
  )
