-- id: deleted-executable
-- title: Executable was deleted while it runs
-- description: A program goes on running though its file is gone from a place where
--   no package manager keeps programs. Malware deletes itself so that it can not be
--   examined. Upgraded packages, whose old files vanish below /usr, /opt and the like,
--   and programs in home directories, which developers rebuild, are left out.
-- severity: high
-- tags: attack.stealth, attack.t1070.004
-- dedup: entity_id
-- window: 1d
-- references: https://attack.mitre.org/techniques/T1070/004/
-- falsepositives: installers that unpack into a temporary directory and clean up before they end
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path
FROM process_events
WHERE (event IN ('exec', 'seen') OR 'file_exists' = ANY(changed_columns))
  AND file_exists = false
  AND kernel_thread = false
  AND executable_path ~ '^/(tmp|var/tmp|dev|run|var/www|var/spool|var/mail|srv|mnt|media|lost\+found)/'
  AND container_id IS NULL
  AND executable_path !~ '^/(tmp/go-build[0-9]+|tmp/\.mount_[^/]+|run/user/[0-9]+/doc)/'
  AND coalesce(parent_executable_path, '') !~ '^/tmp/go-build[0-9]+/'
