-- id: kernel-helper-changed
-- title: Program that the kernel starts was changed
-- description: A command sets the program that the kernel starts as root when a process crashes
--   or a module is wanted. Set from within a container, it runs on the host.
-- severity: high
-- tags: attack.privilege-escalation, attack.t1611, attack.t1068
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1611/
-- falsepositives: set-up of crash reports
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line, container_id
FROM process_events
WHERE event IN ('exec', 'seen')
  AND coalesce(parent_command_line, '') !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND (
    (executable_path ~ '/((ba|da|k|z)?sh|tee|cp|dd|coreutils|busybox)$' AND command_line ~ '(>|tee|of=| )[ "'']*/proc/sys/(kernel/(core_pattern|modprobe|hotplug|poweroff_cmd)|fs/binfmt_misc/register)' AND (executable_path !~ 'sh$' OR command_line ~ '> *["'']?/proc/sys/'))
    OR (executable_path ~ '/sysctl$' AND command_line ~ 'kernel\.(core_pattern|modprobe|hotplug|poweroff_cmd) *=')
  )
