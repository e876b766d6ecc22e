-- id: security-tool-stopped
-- title: Security tool was stopped
-- description: A command stops, disables or kills an audit, detection or access control
--   tool, or empties its rules.
-- severity: high
-- tags: attack.defense-impairment, attack.t1685
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1685/
-- falsepositives: maintenance, replacement of one tool by another
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23

-- While a package is upgraded its scripts stop and start the service.
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND coalesce(parent_command_line, '') !~ '(deb-systemd-invoke|/var/lib/dpkg/info/|invoke-rc\.d)'
  AND (
    (executable_path ~ '/systemctl$'
      AND command_line ~ ' (stop|disable|mask|kill)( |$)'
      AND command_line ~ ' (auditd|falco[a-z-]*|osqueryd|wazuh-agent|ossec|crowdsec|falcon-sensor|sysmon|clamav-daemon|clamav-freshclam|fail2ban|apparmor|selinux[a-z-]*|rsyslog|systemd-journald|mdatp|daemoneye|ufw|firewalld)(\.service)?( |$)')
    OR (command_line ~ '(^|[ /])service +(auditd|falco|osqueryd|wazuh-agent|crowdsec|falcon-sensor|sysmon|fail2ban|apparmor|rsyslog|daemoneye) +stop( |$)')
    OR (executable_path ~ '/(kill|pkill|killall5?|pgrep|procps|busybox)$'
      AND command_line ~ '(^|/)(pkill|killall) '
      AND command_line ~ ' (auditd|falco|osqueryd|wazuh-[a-z]+|crowdsec|falcon-sensor|sysmon|clamd|fail2ban-server|rsyslogd|mdatp|daemoneye[a-z-]*|procmond)( |$)')
    OR (executable_path ~ '/auditctl$' AND command_line ~ ' (-D|-e +0)( |$)')
    OR (executable_path ~ '/setenforce$' AND command_line ~* ' (0|permissive)$')
    OR executable_path ~ '/aa-(teardown|disable)$'
  )
