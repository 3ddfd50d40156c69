# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# bench-views.sh - what views of a migration file cost. Sourced by bench.
# shellcheck disable=SC2154 # from bench and t/lib.sh

declare -A random_reads=([cold]=4000 [warm]=50000) # a round; no place twice

# forget_cache FILE...: no page of them is in the cache. As the owner, without privileges.
forget_cache() {
    local file
    for file; do
        dd if="$file" iflag=nocache count=0 status=none
    done
}

# look FILE [OPTION]...: shows it at $mnt; fdsetfs goes to the background.
look() {
    local file=$1
    shift
    "$fdsetfs" "$@" "$file" "$mnt" || bail_out "cannot show $file"
}

look_no_more() {
    wait_for 'unmounting' unmount || bail_out 'cannot unmount'
}

# peak_of FILE: KiB of memory at most of the larger of the processes that show it.
peak_of() {
    local exe pid
    for exe in /proc/[0-9]*/exe; do
        [ "$exe" -ef "$fdsetfs" ] || continue
        pid=${exe#/proc/}
        pid=${pid%/exe}
        tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF -- "$1" &&
            awk '$1 == "VmHWM:" { print $2 }' "/proc/$pid/status"
    done | sort -n | tail -n 1
}

milliseconds_since() {
    calc "($EPOCHREALTIME - $1) * 1000" 1
}

# attach FILE BYTES: milliseconds from the start of fdsetfs to the first byte of vmcore.elf.
attach() {
    local start=$EPOCHREALTIME
    look "$1" -o "gpa=pc.ram:0:$2:0"
    dd if="$mnt/vmcore.elf" bs=1 count=1 of=/dev/null status=none || bail_out 'cannot read'
    milliseconds_since "$start"
    look_no_more
}

# rate_of_cp FILE: MiB/s of "cp FILE /dev/null".
rate_of_cp() {
    local start=$EPOCHREALTIME
    cp "$1" /dev/null || bail_out "cannot read $1"
    calc "$(stat -c %s "$1") / 1048576 / ($EPOCHREALTIME - $start)"
}

# random_rate FILE TEMPERATURE SEED: reads of 4 KiB per second.
random_rate() {
    "$top_builddir/scripts/read-cost" "$1" "${random_reads[$2]}" "$3" | cut -d ' ' -f 1
}

# measure WHAT TEMPERATURE N PLACE: one number goes to the list of these three words.
measure() {
    local file
    case $4 in
        view) file=$mnt/ram/pc.ram ;;
        plain) file=$dir/plain/image ;;
    esac
    [ "$2" = warm ] || forget_cache "$mnt/ram/pc.ram" "$dir/plain/image"
    case $1 in
        cp) views["$1 $2 $4"]+=" $(rate_of_cp "$file")" ;;
        random) views["$1 $2 $4"]+=" $(random_rate "$file" "$2" "$3")" ;;
    esac
}

# Which comes first changes from pair to pair. Before a warm one both have been read whole, and
# random places are others in each pair.
bench_reads() {
    local pair temperature what place order
    look "$dir/plain/image"
    for temperature in cold warm; do
        [ "$temperature" = cold ] || { rate_of_cp "$dir/plain/image" && rate_of_cp "$mnt/ram/pc.ram"; } >/dev/null
        for ((pair = 1; pair <= pairs; pair++)); do
            say "reading $temperature, pair $pair of $pairs"
            order='view plain'
            [ $((pair % 2)) -eq 1 ] || order='plain view'
            for what in cp random; do
                for place in $order; do
                    measure "$what" "$temperature" "$pair" "$place"
                done
            done
        done
    done
    view_peak=$(peak_of "$dir/plain/image")
    look_no_more
}

bench_attach() {
    local size round kind full
    for kind in sparse-1 sparse-1024 full-1024; do
        size=$((${kind#*-} << 30)) full=
        [ "${kind%-*}" = sparse ] || full=full
        "$top_builddir/scripts/bigimage" big $size $full || bail_out 'cannot make a large file'
        sync -d big
        say "attaching to $kind GiB"
        for ((round = 0; round < pairs; round++)); do
            forget_cache big
            attaches[$kind]+=" $(attach "$dir/big" $size)"
        done
        rm -f big
    done
}

# A file in the streaming format: from the start of fdsetfs to the mount, with an index to make.
bench_index() {
    local round start bytes
    qmp source cont >/dev/null
    qmp source stop >/dev/null
    set_migration source
    save source "file:$dir/plain/stream" >/dev/null || bail_out 'cannot save a stream'
    bytes=$(stat -c %s plain/stream)
    for ((round = 0; round < pairs; round++)); do
        say "indexing, round $((round + 1)) of $pairs"
        cat plain/stream >/dev/null
        start=$EPOCHREALTIME
        look "$dir/plain/stream" -o cache-dir=off
        indexes+=("$(calc "$bytes / 1048576 / ($EPOCHREALTIME - $start)")")
        look_no_more
    done
    rm -f plain/stream
}

bench_views() {
    declare -gA views=() attaches=()
    indexes=()
    # shellcheck disable=SC2034 # for start_random_source
    migration=(mapped-ram)
    mkdir -p plain
    bench_attach
    require_qemu
    start_random_source
    save source "file:$dir/plain/image" >/dev/null || bail_out 'cannot save'
    sync -d plain/image
    bench_reads
    rm -f plain/image
    bench_index
    quit_vm source
}

# ratio WHAT TEMPERATURE: sets view, plain (medians) and ratio (median of those of the pairs).
ratio() {
    local i of_view of_plain ratios=()
    read -ra of_view <<<"${views["$1 $2 view"]}"
    read -ra of_plain <<<"${views["$1 $2 plain"]}"
    for i in "${!of_view[@]}"; do
        ratios+=("$(calc "${of_view[i]} / ${of_plain[i]}" 3)")
    done
    view=$(median "${of_view[@]}") plain_file=$(median "${of_plain[@]}")
    ratio=$(median "${ratios[@]}")
}

print_views() {
    local what temperature kind unit target value
    printf 'views of %s MiB of random memory, %s pairs\n' "$size" "$pairs"
    for what in cp random; do
        target=0.9 unit=MiB/s
        [ "$what" = cp ] || { target=0.8 && unit=reads/s; }
        for temperature in cold warm; do
            ratio "$what" "$temperature"
            printf '%-6s %s: view %8.0f, plain file %8.0f %-7s ratio %.2f  target at least %s: %s\n' "$what" \
                "$temperature" "$view" "$plain_file" "$unit" "$ratio" "$target" "$(verdict "$ratio" '>=' "$target")"
        done
    done
    for kind in sparse-1 sparse-1024 full-1024; do
        # shellcheck disable=SC2086 # a list of words
        value=$(median ${attaches[$kind]})
        target="target at most 50: $(verdict "$value" '<=' 50)"
        [ "${kind%-*}" = sparse ] || target='dd asks for st_blocks first, which reads all bitmaps'
        printf 'first byte of vmcore.elf, %-11s GiB: %6.1f ms  %s\n' "$kind" "$value" "$target"
    done
    value=$(median "${indexes[@]}")
    printf 'index of the streaming format: %.0f MiB/s  target at least 500: %s\n' "$value" \
        "$(verdict "$value" '>=' 500)"
    printf 'memory of the daemon, peak in all reads: %s KiB\n' "$view_peak"
}

# shellcheck disable=SC2086 # the lists are words
views_members() {
    local what temperature kind
    printf '"views":{'
    for what in cp random; do
        for temperature in cold warm; do
            ratio "$what" "$temperature"
            printf '"%s_%s":{"view":%s,"plain":%s,"ratio":%s},' "$what" "$temperature" \
                "$(json_list ${views["$what $temperature view"]})" \
                "$(json_list ${views["$what $temperature plain"]})" "$ratio"
        done
    done
    for kind in "${!attaches[@]}"; do
        printf '"attach_ms_%s_gib":%s,' "${kind/-/_}" "$(json_list ${attaches[$kind]})"
    done
    printf '"index_mib_s":%s,"peak_rss_kib":%s}' "$(json_list "${indexes[@]}")" "$view_peak"
}
