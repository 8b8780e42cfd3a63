job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID

iteration() {
  "${sweep[@]}" --element "$SLURM_ARRAY_TASK_ID" --status --json 2>/dev/null |
    sed -n 's/^ *"iteration": \([0-9]*\),*$/\1/p'
}

# USR1: the time is nearly up, or a preemption. Save, and go on later.
asked='' told='' process=''
tell() {
  if [ -n "$asked" ] && [ -n "$process" ] && [ -z "$told" ]; then
    told=yes
    kill -USR1 "$process" 2>/dev/null
  fi
}
trap 'asked=yes waiting=yes; tell' USR1
# scancel, or a preemption without notice: Slurm tells every process itself, each saves. This script
# waits for that, and requeues nothing: after a preemption Slurm does.
trap 'waiting=yes' TERM

before=$(iteration)
echo "== $(date -u +%FT%TZ) job $job on $(hostname), restart ${SLURM_RESTART_COUNT:-0}, iteration ${before:-0}"
"${sweep[@]}" --element "$SLURM_ARRAY_TASK_ID" &
process=$!
tell
code=1 waiting=yes
while [ -n "$waiting" ]; do
  # A signal ends this before the process does; then it is waited for again.
  waiting=''
  wait "$process"
  ended=$?
  # 127: its code was heard before.
  [ "$ended" = 127 ] || code=$ended
done
after=$(iteration)
echo "== $(date -u +%FT%TZ) exit code $code${asked:+, asked to stop}, iteration ${after:-0}"

# 138: the signal came before the program could listen for it.
if [ -n "$asked" ] && { [ "$code" = 75 ] || [ "$code" = 138 ]; }; then
  count=0
  if [ "${after:-0}" -le "${before:-0}" ]; then
    count=$(($(cat "$stalled" 2>/dev/null || echo 0) + 1))
  fi
  echo "$count" >"$stalled"
  if [ "$count" -le "$stalls" ]; then
    # Under the array's number and the element's: the job's own is, for one of the elements, that of
    # the whole array, whose elements would all start again.
    if scontrol requeue "$job"; then
      # Slurm ends this script; its own end must not come first.
      trap - TERM
      sleep 600
    fi
  else
    echo "== not requeued: no progress in $count attempts; longer --time, or an earlier --signal"
  fi
fi
[ "$code" = 75 ] || rm -f "$stalled"
exit "$code"
