"""The script that runs a command at the minutes of a cron line: POSIX `sh`, because an image need have nothing else."""

from __future__ import annotations

from stack.parts import TMP

# Where the script notes its runs if it can't write to its volume.
FALLBACK = f"{TMP}/stackctl-schedule"
# In the script: `checked` is the last minute that was looked at, counted as `began` and `ended` are in seconds since
# 1970; a dash stands for what is not known. It is written to the record before each run, so that no minute runs twice.
# Nothing is run later than two minutes after its time: it was missed then.
SCRIPT = r"""# Run a command at the minutes of a cron line, in UTC, one run at a time: sh FILE LINE COMMAND WORD...
minutes=' {minutes} ' hours=' {hours} ' days=' {days} ' months=' {months} ' weekdays=' {weekdays} ' either={either}
late=2

on() {{ case "$1" in *" $2 "*) ;; *) return 1 ;; esac; }}

# The date of a minute, by the calendar's rules: years begin in March, in eras of 400 years.
date_of() {{
  n=$(($1 / 1440 + 719468)) weekday=$((($1 / 1440 + 4) % 7)) hour=$(($1 / 60 % 24)) minute=$(($1 % 60))
  e=$((n % 146097)) y=$(((e - e / 1460 + e / 36524 - e / 146096) / 365)) d=$((e - (365 * y + y / 4 - y / 100)))
  m=$(((5 * d + 2) / 153)) day=$((d - (153 * m + 2) / 5 + 1)) month=$((m < 10 ? m + 3 : m - 9))
  year=$((n / 146097 * 400 + y + (month < 3)))
}}

on_day() {{
  on "$months" "$month" || return 1
  if [ "$either" = yes ]; then on "$days" "$day" || on "$weekdays" "$weekday"
  else on "$days" "$day" && on "$weekdays" "$weekday"; fi
}}

# Find the next minute of the line after `checked`, at most $1.
advance() {{
  while [ "$checked" -lt "$1" ]; do
    checked=$((checked + 1))
    date_of "$checked"
    if ! on_day; then checked=$((checked / 1440 * 1440 + 1439))
    elif ! on "$hours" "$hour"; then checked=$((checked / 60 * 60 + 59))
    elif on "$minutes" "$minute"; then return 0; fi
  done
  checked=$1
  return 1
}}

# Count the minutes of the line from `checked` to $1: `newest` is the last of them, and `before` the last but one.
count() {{
  number=0 newest=- before=-
  while advance "$1"; do number=$((number + 1)) before=$newest newest=$checked; done
}}

written() {{ date_of "$1"; printf '%d-%02d-%02d %02d:%02d UTC' "$year" "$month" "$day" "$hour" "$minute"; }}

miss() {{
  [ "$1" -gt 0 ] || return 0
  missed=$((missed + $1)) last=$2
  if [ "$1" = 1 ]; then echo "stackctl: missed the run of $(written "$2"): $3"
  else echo "stackctl: missed $1 runs, the last that of $(written "$2"): $3"; fi
}}

note() {{ echo "$checked $began $ended $code $missed $last" > "$record.new" && mv "$record.new" "$record"; }}

main() {{
  line=$1
  shift
  record=$STACKCTL_SCHEDULE/record
  [ -w "$STACKCTL_SCHEDULE" ] || record={fallback}
  began=- ended=- code=- missed=0 last=- child= stopping=
  checked=$(($(date +%s) / 60))
  [ ! -s "$record" ] || read -r checked began ended code missed last < "$record"
  if [ "$began" != - ] && [ "$ended" = - ]; then
    echo "stackctl: the run of $(written $((began / 60))) was cut off"
    ended=$began code=lost
  fi
  trap 'stopping=yes; [ -z "$child" ] || kill -TERM "$child" 2> /dev/null' TERM INT
  echo "stackctl: runs at '$line', in UTC"
  while [ -z "$stopping" ]; do
    now=$(date +%s)
    count $((now / 60))
    if [ "$number" -gt 0 ] && [ $((now / 60 - newest)) -le $late ]; then
      miss $((number - 1)) "$before" "it was not there to run it"
      run "$newest" "$@"
    else
      miss "$number" "$newest" "it was not there to run it"
      note
      now=$(date +%s)
      sleep $((60 - now % 60)) &
      child=$!
      [ -z "$stopping" ] || kill "$child"
      wait "$child"
      child=
    fi
  done
}}

run() {{
  minute_of_run=$1
  shift
  began=$(date +%s) ended=- code=-
  note
  echo "stackctl: the run of $(written "$minute_of_run") begins"
  "$@" &
  child=$!
  [ -z "$stopping" ] || kill -TERM "$child"
  wait "$child"
  code=$?
  # A signal to this script ends `wait` before the command ends.
  while kill -0 "$child" 2> /dev/null; do
    wait "$child"
    code=$?
  done
  child= ended=$(date +%s)
  echo "stackctl: the run of $(written "$minute_of_run") ended with $code after $((ended - began)) s"
  count $((ended / 60))
  miss "$number" "$newest" "that of $(written "$minute_of_run") was still running"
  note
}}

main "$@"
exit
"""
