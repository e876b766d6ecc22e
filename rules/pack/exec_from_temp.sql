-- id: exec-from-temp
-- title: Program runs from a temporary directory
-- description: The executable lies in /tmp or /var/tmp, where anyone may write and
--   where downloaded payloads are put first. Programs that the Go tool builds and
--   starts there, mounted AppImages and the probes of configure and cmake are left out.
-- severity: medium
-- tags: attack.execution, attack.stealth, attack.t1059, attack.t1036.005
-- dedup: executable_path
-- window: 6h
-- references: https://attack.mitre.org/techniques/T1036/005/
-- falsepositives: self-extracting installers, test suites that run what they built in a temporary directory
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23

-- What the Go tool built is known by its parent: the tool, or another program
-- that the tool had built, which would itself have matched otherwise.
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path
FROM process_events
WHERE event IN ('exec', 'seen')
  AND executable_path ~ '^/(tmp|var/tmp)/'
  AND NOT (executable_path ~ '^/tmp/go-build[0-9]+/' AND coalesce(parent_executable_path, '') ~ '/go$')
  AND coalesce(parent_executable_path, '') !~ '^/tmp/go-build[0-9]+/'
  AND executable_path !~ '^/tmp/\.mount_[^/]+/'
  AND executable_path !~ '/(conftest|a\.out|cmTC_[0-9a-f]+|rust_out)$'
