-- id: service-spawns-shell
-- title: Network service started a shell
-- description: A mail, file, name or printing service, which has no reason to, started a shell.
--   That is what becomes of many a hole in them.
-- severity: high
-- tags: attack.execution, attack.initial-access, attack.t1190, attack.t1059.004
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1190/,
--   https://attack.mitre.org/techniques/T1059/004/
-- falsepositives: mail servers that deliver through a pipe, hooks of services
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (executable_path ~ '/(ba|da|a|k|mk|z)?sh[0-9.]*$' OR invoked_path ~ '(^|/)-?(ba|da|a|k|mk|z)?sh$')
  AND parent_executable_path ~ '/(smbd|nmbd|named|unbound|vsftpd|proftpd|pure-ftpd|dovecot|imapd|snmpd|cupsd|cups-browsed|rpcbind|slapd|ntpd|chronyd|avahi-daemon|squid|tftpd|in\.tftpd|rsyslogd|bluetoothd|systemd-resolved)$'
