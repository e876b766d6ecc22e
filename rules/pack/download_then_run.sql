-- id: download-then-run
-- title: Download was run by the same parent
-- description: Step by step: a program fetched something, and within ten minutes the same
--   parent ran a program outside the system's directories whose file name stands in the command
--   line of the download.
-- severity: high
-- tags: attack.execution, attack.command-and-control, attack.t1105, attack.t1204.002
-- dedup: parent_entity_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1105/,
--   https://attack.mitre.org/techniques/T1204/002/
-- falsepositives: people who download a program and try it, installers
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01

-- Stream rules see one row; an order of rows takes a join of the table with itself. The
-- window bounds how far back both sides are read.
SELECT run.time, run.entity_id, run.pid, run.user_name, run.executable_path, run.command_line, run.parent_entity_id,
  run.parent_command_line, got.time AS fetched_at, got.command_line AS fetched_by
FROM process_events got
JOIN process_events run ON run.parent_entity_id = got.parent_entity_id
  AND run.time > got.time AND run.time <= got.time + interval '10 minutes'
WHERE got.event IN ('exec', 'seen')
  AND got.executable_path ~ '/(curl|wget|wget2|aria2c|axel|scp|sftp|ftp|lwp-download)$'
  AND run.event IN ('exec', 'seen')
  AND run.executable_path ~ '^/(tmp|var|dev|run|home|root|srv|mnt|media|opt)/'
  AND position('/' || regexp_replace(run.executable_path, '^.*/', '') || ' ' IN replace(got.command_line, ' ', ' /') || ' ') > 0
