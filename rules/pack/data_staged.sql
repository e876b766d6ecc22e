-- id: data-staged
-- title: Data was packed in a temporary place
-- description: Directories that hold people's or the system's data were packed into an archive
--   in a temporary directory or in shared memory. They are gathered so before they are taken
--   away.
-- severity: medium
-- tags: attack.collection, attack.t1560.001, attack.t1074.001
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1560/001/,
--   https://attack.mitre.org/techniques/T1074/001/
-- falsepositives: backups and support tools
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    (executable_path ~ '/((bsd)?tar|busybox)$' AND command_line ~ ' -{0,2}[a-zA-Z]*c[a-zA-Z]*f? *(/tmp|/var/tmp|/dev/shm|/run/shm)/')
    OR (executable_path ~ '/(zip|7z[ar]?|rar|7zz)$' AND command_line ~ ' ([a-z]+ )?(-[^ ]+ )*(/tmp|/var/tmp|/dev/shm)/[^ ]+\.(zip|7z|rar)')
  )
  AND command_line ~ ' (/(home|root|etc|srv|var/(www|lib/(mysql|postgresql|mongodb)|mail|backups))(/[^ ]*)?|[^ ]*/\.(ssh|aws|gnupg|mozilla|config))( |$)'
