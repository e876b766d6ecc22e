-- id: persistence-by-command
-- title: Start-up or login file was written from a command line
-- description: A command writes to a place from which programs are started again, or by
--   which a login is allowed, after the intruder has gone. These are cron tables, systemd
--   units, SSH keys, shell profiles and the list of preloaded libraries.
-- severity: medium
-- tags: attack.persistence, attack.privilege-escalation, attack.t1053.003, attack.t1543.002, attack.t1098.004, attack.t1574.006, attack.t1546.004
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1053/003/, https://attack.mitre.org/techniques/T1098/004/,
--   https://attack.mitre.org/techniques/T1574/006/, https://attack.mitre.org/techniques/T1543/002/
-- falsepositives: ssh-copy-id, provisioning scripts
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND coalesce(parent_command_line, '') !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND command_line !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND (
    (executable_path ~ '/(ba|da|k|z)?sh$'
      AND command_line ~ '>>?\|? *["'']?[^ ;|&]*(/etc/ld\.so\.preload|\.ssh/authorized_keys2?|/etc/cron[a-z.]*/[^ /]+|/etc/crontab|/var/spool/cron/[^ ]+|/etc/systemd/system/[^ ]+\.(service|timer)|/etc/rc\.local|/etc/profile(\.d/[^ ]+)?|/etc/sudoers(\.d/[^ ]+)?)["'']?([ ;&|)]|$)')
    OR (executable_path ~ '/(tee|coreutils|busybox)$'
      AND command_line ~ '(^|/| )tee .*(/etc/ld\.so\.preload|\.ssh/authorized_keys2?|/etc/cron[a-z.]*/[^ /]+|/etc/crontab|/var/spool/cron/[^ ]+|/etc/systemd/system/[^ ]+\.(service|timer)|/etc/rc\.local|/etc/sudoers(\.d/[^ ]+)?)( |$)')
    OR (executable_path ~ '/(ba|da|k|z)?sh$'
      AND command_line ~ '\| *([^ |]*/)?crontab( +-u +[^ ]+)? +-( |$|[;&])'
      AND command_line ~ '(curl|wget|/tmp/|/dev/shm/|/var/tmp/|base64|/dev/tcp/|[ /]nc )')
    OR (executable_path ~ '/(cp|mv|install|ln|coreutils)$' AND command_line ~ ' /etc/ld\.so\.preload$')
  )
