#!/usr/bin/env bash
# Builds, kills, resumes, races two builders and replaces a dataset under a reader, on real file systems.
#
#     tests/cluster/file_systems.sh [--quick] [--list] [--data DIR] [NAME...]
#
# Without names: on each of them. `--quick` leaves out those that take long to start, `--list` prints the
# names. `--data` keeps the archives that are built, and the hashes that are expected, for other runs.
# Prints a line for each: passed, failed (what) or skipped (why). The exit status is 1 if any failed.
#
# Root, loop devices, and Debian's packages: e2fsprogs xfsprogs btrfs-progs squashfs-tools sshfs
# openssh-server mergerfs glusterfs-server glusterfs-client moosefs-master moosefs-chunkserver
# moosefs-client. What is not there is skipped. PYTHON is the interpreter of an environment that this
# package is installed in (default: .venv/bin/python, then python3).
# shellcheck disable=SC2317  # File systems are functions that are called by name.
set -uo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=${PYTHON:-$top/.venv/bin/python}
[[ -x $python ]] || python=$(command -v python3)

quick=(ext4 ext3_small_inodes xfs btrfs_quota tmpfs overlay_upper overlay_lower squashfs_source
    full_disk no_inodes power_loss_xfs power_loss_ext4 sshfs mergerfs)
slow=(glusterfs moosefs)

shards=16           # Of each split.
some=8              # So many shards are finished when a build is killed in the middle.
losses="2 8 16"     # So many when the power is lost; the lock that is left is respected for 90 s each time.
patience=240        # Seconds until something that must happen is given up.

# --- what is said ------------------------------------------------------------------------------

fail() {
    echo "failed ($*)" >"$work/verdict"
    exit 1
}

skip() {
    echo "skipped ($*)" >"$work/verdict"
    exit 0
}

note() { echo "$*" >>"$work/notes"; }

needs() {
    local program
    for program; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || skip "$program is not installed"
    done
}

# --- what is undone, whatever happens ------------------------------------------------------------

# Lines of `umount PATH`, `detach DEVICE`, `gluster VOLUME`, `kill PID BORN` (the leader of a process
# group, and when it began): undone from the last to the first.
undo_later() { echo "$*" >>"$work/undo"; }

born() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

undo() {
    local what arg more
    [[ -e $work/undo ]] || return 0
    while read -r what arg more; do
        case $what in
        umount) ! mountpoint -q "$arg" || umount "$arg" 2>/dev/null || umount -l "$arg" ;;
        detach) losetup -d "$arg" ;;
        # The number may be another's by now.
        kill) [[ $(born "$arg") != "$more" ]] || kill -KILL -- "-$arg" ;;
        gluster) echo y | gluster volume stop "$arg" force && echo y | gluster volume delete "$arg" ;;
        esac </dev/null >>"$work/log" 2>&1
    done < <(tac "$work/undo")
    rm -f "$work/undo"
}

finish() {
    undo
    # Nothing below is another file system by now; if one is, it stays.
    [[ -n ${here:-} ]] && rm -rf --one-file-system "$here"
}

# --- mounts ------------------------------------------------------------------------------------

# mount_at DIR ARGUMENTS...: mounts on a directory that it makes; skips where that is not allowed.
mount_at() {
    local dir=$1
    shift
    mkdir -p "$dir"
    mount "$@" "$dir" || skip "cannot be mounted here: mount $*"
    undo_later "umount $dir"
}

# image NAME SIZE COMMAND...: a loop device ($device) over a sparse file, formatted by the command.
image() {
    local file=$work/$1.img
    truncate -s "$2" "$file"
    shift 2
    needs "$1" losetup
    device=$(losetup --find --show "$file") || skip "no loop device can be had"
    undo_later "detach $device"
    "$@" "$device" || skip "$1 failed"
}

# in_background LOG COMMAND...: starts the leader of a process group ($started).
in_background() {
    local log=$1
    shift
    setsid "$@" >"$log" 2>&1 </dev/null &
    started=$!
    undo_later "kill $started $(born "$started")"
}

# until_true SECONDS COMMAND...: whether the command succeeds in so many seconds.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

# --- builds ------------------------------------------------------------------------------------

build_command() {
    local data_dir=$1
    shift
    command=(env -u TMPDIR -u SLURM_TMPDIR "$(dirname "$python")/imagenet-builders" build imagenet2012
        --manual-dir "${manual_dir:-$data/archives}" --data-dir "$data_dir" --workers 2
        --num-shards "$shards" "$@")
}

# build DATA_DIR OPTIONS...: a build that must succeed; what it says is in $said.
build() {
    build_command "$@"
    said=$work/said.$RANDOM
    echo "+ build $*"
    local status=0
    timeout "$patience" "${command[@]}" >"$said" 2>&1 || status=$?
    cat "$said"
    ((status == 0)) || fail "a build of $1 ended with $status: $(grep -a 'error: ' "$said" | head -n 1)"
}

# start_build DATA_DIR OPTIONS...: starts one ($started, $said).
start_build() {
    build_command "$@"
    said=$work/said.$RANDOM
    echo "+ start build $*"
    in_background "$said" "${command[@]}"
}

# Names of the finished shards of incomplete datasets below a directory.
finished() { find "$1"/imagenet2012/.5.1.0.building-*/shards -name 'imagenet2012-*-of-*' ! -name '*.partial' 2>/dev/null; }

has_finished() { (($(finished "$1" | wc -l) >= $2)); }

ended() { ! kill -0 "$1"; }

in_the_middle() { has_finished "$1" "$2" || ended "$started"; }

# build_to_the_middle DATA_DIR NUMBER: a build ($started) that has finished so many shards.
build_to_the_middle() {
    start_build "$1"
    until_true "$patience" in_the_middle "$1" "$2" || fail "a build of $1 finished nothing in $patience s"
    kill -0 "$started" 2>/dev/null || { cat "$said"; fail "a build ended before its middle"; }
}

stand_still() { kill -STOP -- "-$started"; }

go_on() { kill -CONT -- "-$started"; }

kill_build() {
    kill -KILL -- "-$started"
    wait "$started" 2>/dev/null
}

# ends_with_an_error WHAT: the build that was started ends with a sentence and keeps what it finished.
ends_with_an_error() {
    local status=0
    until_true "$patience" ended "$started" || fail "$1: the build did not end in $patience s"
    wait "$started" || status=$?
    cat "$said"
    ((status == 1)) || fail "$1: the build ended with $status"
    ! grep -aq Traceback "$said" || fail "$1: a traceback"
    grep -aq 'error: ' "$said" || fail "$1: no error was told"
    ! grep -aq 'was stopped for more than' "$said" || fail "$1: called a lost lock: $(grep -a 'error: ' "$said")"
    sentence=$(grep -a 'error: ' "$said" | sed 's/.*error: //' | head -n 1)
}

hashes() { (cd "$1/imagenet2012/5.1.0" && sha256sum imagenet2012-*-of-*); }

# is_whole DATA_DIR: the dataset has the bytes that it has on ext4.
is_whole() {
    hashes "$1" >"$work/found" || fail "$1: shards cannot be read"
    cmp -s "$work/found" "$data/expected" || fail "$1: other shards than on the local disk"
}

beside() { (cd "$1/imagenet2012" && find . -mindepth 1 -maxdepth 1 ! -name 5.1.0 | tr '\n' ' '); }

# is_right DATA_DIR: the same, and there is nothing beside it.
is_right() {
    is_whole "$1"
    [[ -z $(beside "$1") ]] || fail "left beside the dataset: $(beside "$1")"
}

stands_alone() { [[ -e $1/imagenet2012/5.1.0/dataset_info.json && -z $(beside "$1") ]]; }

# looks_right DATA_DIR: the same, as soon as the caches of another mount allow.
looks_right() {
    until_true 30 stands_alone "$1" || fail "$1: what is seen is not the dataset alone: $(beside "$1")"
    is_right "$1"
}

remove_dataset() {
    rm -rf "$1/imagenet2012"
    [[ $1 == "$2" ]] || until_true 20 test ! -e "$2/imagenet2012" || fail "$2 sees what was removed on $1"
}

# --- what a build must survive -------------------------------------------------------------------

# resumes ONE OTHER: a build is killed on one mount and goes on on the other, with what was finished.
resumes() {
    build_to_the_middle "$1" "$some"
    kill_build
    local kept
    kept=$(finished "$1" | wc -l)
    (cd "$(dirname "$(finished "$1" | head -n 1)")" && stat -c '%n %Y' imagenet2012-*-of-*[0-9]) >"$work/before"
    build "$2"
    is_right "$2"
    looks_right "$1"
    (cd "$1/imagenet2012/5.1.0" && stat -c '%n %Y' imagenet2012-*-of-*) >"$work/after"
    local again
    again=$(grep -Fxvc -f "$work/after" "$work/before")
    ((again == 0)) || fail "$again of $kept finished shards were made again after a kill"
}

# races ONE OTHER: of two builders, one builds and the other finds the dataset.
races() {
    remove_dataset "$1" "$2"
    local first first_said
    start_build "$1"
    first=$started first_said=$said
    start_build "$2"
    until_true "$patience" ended "$first" || fail "of two builders, one does not end"
    until_true "$patience" ended "$started" || fail "of two builders, one does not end"
    cat "$first_said" "$said"
    wait "$first" || fail "of two builders, one ended with an error: $(grep -a 'error: ' "$first_said" | head -n 1)"
    wait "$started" || fail "of two builders, one ended with an error: $(grep -a 'error: ' "$said" | head -n 1)"
    looks_right "$1"
    looks_right "$2"
}

# replaces ONE OTHER [gap]: `--overwrite` on one mount under a reader on the other; with `gap`, the
# reader may find no dataset for a moment.
replaces() {
    local stop=$work/stop reader before
    before=$(sha256sum <"$1/imagenet2012/5.1.0/provenance.json")
    rm -f "$stop" "$stop.ready"
    in_background "$work/reader" "$python" -P "$top/tests/support/reader_in_a_loop.py" \
        "$2/imagenet2012/5.1.0" "$data/expected" "$stop"
    reader=$started
    until_true "$patience" test -e "$stop.ready" || fail "a reader cannot load the dataset"
    build "$1" --overwrite
    sleep 1.5
    touch "$stop"
    wait "$reader" || fail "a reader read something else: $(tail -n 1 "$work/reader")"
    echo "reader: $(tail -n 1 "$work/reader")"
    [[ ${3:-} == gap ]] || grep -q 'missed 0,' "$work/reader" ||
        fail "a reader found no dataset: $(tail -n 1 "$work/reader")"
    note "reader $(tail -n 1 "$work/reader")"
    [[ $(sha256sum <"$1/imagenet2012/5.1.0/provenance.json") != "$before" ]] || fail "nothing was replaced"
    looks_right "$1"
    looks_right "$2"
}

# all_of ONE [OTHER [gap]]
all_of() {
    resumes "$1" "${2:-$1}"
    races "$1" "${2:-$1}"
    replaces "$1" "${2:-$1}" "${3:-}"
}

# --- file systems ------------------------------------------------------------------------------

fs_ext4() {
    image ext4 2G mkfs.ext4 -q
    mount_at "$work/m" "$device"
    all_of "$work/m"
}

# Inodes of 128 bytes keep times in whole seconds.
fs_ext3_small_inodes() {
    image ext3 2G mkfs.ext3 -q -I 128
    mount_at "$work/m" "$device"
    all_of "$work/m"
}

fs_xfs() {
    image xfs 2G mkfs.xfs -q
    mount_at "$work/m" "$device"
    all_of "$work/m"
}

fs_btrfs_quota() {
    needs btrfs
    image btrfs 2G mkfs.btrfs -q
    mount_at "$work/m" "$device"
    btrfs quota enable "$work/m" || skip "btrfs has no quotas here"
    btrfs subvolume create "$work/m/data"
    btrfs qgroup limit 1500M "$work/m/data" || fail "no limit can be set"
    all_of "$work/m/data"
}

fs_tmpfs() {
    mount_at "$work/m" -t tmpfs -o size=2G tmpfs
    all_of "$work/m"
}

# overlay LOWER: mounts it below a new upper layer on $work/m.
overlay() {
    mkdir -p "$work/upper" "$work/work"
    mount_at "$work/m" -t overlay -o "lowerdir=$1,upperdir=$work/upper,workdir=$work/work" overlay
}

fs_overlay_upper() {
    mkdir "$work/lower"
    overlay "$work/lower"
    all_of "$work/m"
}

# What is there lies in the lower layer: a killed build that goes on, a dataset that is replaced.
fs_overlay_lower() {
    mkdir "$work/lower"
    build_to_the_middle "$work/lower" "$some"
    kill_build
    overlay "$work/lower"
    local kept
    kept=$(finished "$work/m" | wc -l)
    build "$work/m"
    is_right "$work/m"
    umount "$work/m"
    note "$kept finished shards of the lower layer"

    rm -rf "$work/lower/imagenet2012" "$work/upper" "$work/work"
    build "$work/lower"
    overlay "$work/lower"
    replaces "$work/m" "$work/m" gap
    # It is in the upper layer now.
    replaces "$work/m" "$work/m"
    umount "$work/m"
    is_right "$work/lower"
}

fs_squashfs_source() {
    needs mksquashfs
    mksquashfs "$data/archives" "$work/archives.squashfs" -no-progress -quiet || skip "mksquashfs failed"
    mount_at "$work/source" -o loop,ro "$work/archives.squashfs"
    mkdir "$work/data"
    manual_dir=$work/source
    all_of "$work/data"
}

fs_full_disk() {
    image ext4 700M mkfs.ext4 -q -m 0
    mount_at "$work/m" "$device"
    build_to_the_middle "$work/m" 4
    stand_still
    local filler=0 size=$((1 << 30))
    for ((; size >= 4096; size /= 2)); do
        while fallocate -l "$size" "$work/m/filler$filler" 2>/dev/null; do filler=$((filler + 1)); done
    done
    go_on
    ends_with_an_error "a full disk"
    [[ $sentence == *full* ]] || fail "a full disk is not called so: $sentence"
    rm "$work/m"/filler*
    build "$work/m"
    is_right "$work/m"
}

fs_no_inodes() {
    image ext4 1G mkfs.ext4 -q -N 400
    mount_at "$work/m" "$device"
    build_to_the_middle "$work/m" 4
    stand_still
    mkdir "$work/m/many"
    until ! touch "$work/m/many/"{1..20}"-$RANDOM$RANDOM" 2>/dev/null; do :; done
    go_on
    ends_with_an_error "no inodes"
    rm -r "$work/m/many"
    build "$work/m"
    is_right "$work/m"
}

# power_loss TYPE: the file system goes down as with the power, without its journal being written.
power_loss() {
    needs xfs_io
    image "$1" 2G "mkfs.$1" -q
    local number
    for number in $losses; do
        mount_at "$work/m" "$device"
        build_to_the_middle "$work/m" "$number"
        xfs_io -x -c shutdown "$work/m" || skip "this $1 cannot be shut down"
        ends_with_an_error "power loss"
        umount "$work/m" || umount -l "$work/m"
        mount_at "$work/m" "$device"
        build "$work/m"
        is_right "$work/m"
        # What is published is on the disk; that something was removed beside it need not be.
        xfs_io -x -c shutdown "$work/m"
        umount "$work/m" || umount -l "$work/m"
        mount_at "$work/m" "$device"
        is_whole "$work/m"
        rm -rf "$work/m/imagenet2012"
        umount "$work/m"
    done
}

fs_power_loss_xfs() { power_loss xfs; }
fs_power_loss_ext4() { power_loss ext4; }

# Two mounts of one directory with the caches of attributes that sshfs has by default.
fs_sshfs() {
    needs sshfs sshd ssh-keygen fusermount3
    [[ -e /dev/fuse ]] || skip "no /dev/fuse"
    local ssh=$work/ssh port tries
    mkdir -p "$ssh" "$work/store" /run/sshd
    ssh-keygen -q -t ed25519 -N '' -f "$ssh/host"
    ssh-keygen -q -t ed25519 -N '' -f "$ssh/key"
    for tries in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 30000))
        cat >"$ssh/config" <<CONFIG
Port $port
ListenAddress 127.0.0.1
HostKey $ssh/host
AuthorizedKeysFile $ssh/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
CONFIG
        in_background "$ssh/log" "$(PATH=$PATH:/usr/sbin command -v sshd)" -D -e -f "$ssh/config"
        until_true 5 grep -q 'Server listening' "$ssh/log" && break
        ((tries < 5)) || skip "sshd does not start: $(tail -n 1 "$ssh/log")"
    done
    # So long, and not for 20 s, a mount believes what it saw of a directory.
    local options=dcache_timeout=5,port=$port,IdentityFile=$ssh/key,IdentitiesOnly=yes,UserKnownHostsFile=/dev/null
    options+=,StrictHostKeyChecking=no
    local mount
    for mount in one other; do
        mkdir "$work/$mount"
        sshfs -F /dev/null -o "$options" "$(id -un)@127.0.0.1:$work/store" "$work/$mount" ||
            skip "sshfs does not mount"
        undo_later "umount $work/$mount"
    done
    all_of "$work/one" "$work/other" gap
    # A mount that is made anew gives new inode numbers.
    remove_dataset "$work/one" "$work/other"
    build_to_the_middle "$work/one" "$some"
    kill_build
    finished "$work/one" | xargs -n 1 basename | sort >"$work/before"
    (cd "$work/store/imagenet2012"/.5.1.0.building-*/shards && xargs stat -c '%n %i' <"$work/before") >"$work/before.i"
    umount "$work/one"
    sshfs -F /dev/null -o "$options" "$(id -un)@127.0.0.1:$work/store" "$work/one" || fail "no new mount"
    undo_later "umount $work/one"
    build "$work/one"
    is_right "$work/one"
    (cd "$work/store/imagenet2012/5.1.0" && stat -c '%n %i' imagenet2012-*-of-*) >"$work/after.i"
    local again
    again=$(grep -Fxvc -f "$work/after.i" "$work/before.i")
    ((again == 0)) || fail "$again finished shards were made again after a new mount"
}

fs_mergerfs() {
    needs mergerfs fusermount3
    mkdir "$work/a" "$work/b" "$work/m"
    mergerfs -o category.create=rand,cache.files=off "$work/a:$work/b" "$work/m" || skip "mergerfs does not mount"
    undo_later "umount $work/m"
    all_of "$work/m" "$work/m" gap
}

fs_glusterfs() {
    needs glusterd gluster glusterfs
    [[ -e /dev/fuse ]] || skip "no /dev/fuse"
    # The daemon has one directory of its own for the machine.
    ! pgrep -x glusterd >/dev/null || skip "a glusterd of this machine runs already"
    mkdir "$work/glusterd" "$work/brick" "$work/log.d"
    in_background "$work/glusterd.out" glusterd -N --log-file "$work/log.d/glusterd.log"
    until_true 60 gluster --mode=script volume info || skip "glusterd does not start"
    local volume=ib$RANDOM host
    host=$(hostname)
    gluster --mode=script volume create "$volume" "$host:$work/brick" force || skip "no volume can be made"
    undo_later "gluster $volume"
    gluster --mode=script volume start "$volume" || skip "the volume does not start"
    local mount
    for mount in one other; do
        mount_at "$work/$mount" -t glusterfs "$host:/$volume"
    done
    all_of "$work/one" "$work/other" gap
    remove_dataset "$work/one" "$work/other"
    build_to_the_middle "$work/one" "$some"
    pkill -KILL -f "glusterfsd.*$volume" || fail "no brick to kill"
    ends_with_an_error "a brick that died"
    gluster --mode=script volume start "$volume" force
    until_true 30 ls "$work/one/imagenet2012" || fail "the volume does not come back"
    build "$work/one"
    is_right "$work/one"
}

has_room() { (($(df --output=avail "$1" | tail -n 1) > 0)); }

fs_moosefs() {
    needs mfsmaster mfschunkserver mfsmount
    [[ -e /dev/fuse ]] || skip "no /dev/fuse"
    local mfs=$work/mfs base=$((20000 + RANDOM % 10000)) host
    # A chunk server does not talk to its master on the local address.
    read -r host _ < <(hostname -I)
    [[ -n $host ]] || skip "this machine has no address"
    mkdir -p "$mfs"/{master,chunk,hdd}
    echo "$host / rw,alldirs,maproot=0" >"$mfs/exports"
    touch "$mfs/topology"
    echo "$mfs/hdd" >"$mfs/hdds"
    printf 'MFSM NEW' >"$mfs/master/metadata.mfs"
    chmod 755 "$work"
    chown -R mfs "$mfs" || skip "there is no user mfs"
    cat >"$mfs/master.cfg" <<CONFIG
WORKING_USER = mfs
DATA_PATH = $mfs/master
EXPORTS_FILENAME = $mfs/exports
TOPOLOGY_FILENAME = $mfs/topology
LOCK_MEMORY = 0
MATOML_LISTEN_PORT = $base
MATOCS_LISTEN_PORT = $((base + 1))
MATOCL_LISTEN_PORT = $((base + 2))
CONFIG
    cat >"$mfs/chunk.cfg" <<CONFIG
WORKING_USER = mfs
DATA_PATH = $mfs/chunk
HDD_CONF_FILENAME = $mfs/hdds
HDD_LEAVE_SPACE_DEFAULT = 64MiB
MASTER_HOST = $host
MASTER_PORT = $((base + 1))
CSSERV_LISTEN_PORT = $((base + 3))
LABELS = A
CONFIG
    in_background "$mfs/master.log" mfsmaster -f -c "$mfs/master.cfg" start
    in_background "$mfs/chunk.log" mfschunkserver -f -c "$mfs/chunk.cfg" start
    local mount
    for mount in one other; do
        mkdir "$work/$mount"
        until_true 60 mfsmount "$work/$mount" -H "$host" -P $((base + 2)) || skip "mfsmount does not mount"
        undo_later "umount $work/$mount"
    done
    mfssetgoal -r 1 "$work/one" 2>/dev/null
    until_true 90 has_room "$work/one" || skip "the chunk server does not start: $(tail -n 1 "$mfs/chunk.log")"
    all_of "$work/one" "$work/other" gap
}

# --- the run -----------------------------------------------------------------------------------

prepare() {
    [[ ! -e $data/expected ]] || return 0
    mkdir -p "$data/archives"
    "$python" "$top/dummy_data/make_dummy_data.py" --corpus "$data/archives" --gb "$size" --classes 50 \
        --test-fraction 0.05 || return 1
    work=$data/first
    mkdir -p "$work"
    (build "$data/first/built" && hashes "$data/first/built" >"$data/expected.partial") || return 1
    rm -rf "$data/first"
    mv "$data/expected.partial" "$data/expected"
}

run_one() {
    work=$here/$1
    mkdir "$work"
    local start=$SECONDS verdict
    (
        "fs_$1"
        echo passed >"$work/verdict"
    ) >>"$work/log" 2>&1
    verdict=$(cat "$work/verdict" 2>/dev/null || echo "failed (the script itself)")
    undo
    printf '%-18s %s%s [%d s]\n' "$1" "$verdict" \
        "$([[ $verdict == passed && -e $work/notes ]] && printf '; %s' "$(paste -sd ';' "$work/notes" | sed 's/;/; /g')")" \
        $((SECONDS - start))
    case $verdict in
    failed*)
        tail -n 40 "$work/log" | sed 's/^/    /' >&2
        failed=$((failed + 1))
        ;;
    esac
    rm -rf --one-file-system "$work"
}

names=() all=("${quick[@]}" "${slow[@]}") list="" data="" size=0.1
while (($#)); do
    case $1 in
    --quick) all=("${quick[@]}") size=0.06 losses=$some ;;
    --list) list=yes ;;
    --data) data=$(mkdir -p "$2" && cd "$2" && pwd) && shift ;;
    -*) echo "unknown option $1" >&2 && exit 2 ;;
    *) declare -F "fs_$1" >/dev/null || { echo "unknown file system $1" >&2 && exit 2; } && names+=("$1") ;;
    esac
    shift
done
((${#names[@]})) || names=("${all[@]}")
[[ -z $list ]] || { printf '%s\n' "${names[@]}" && exit 0; }
if ((EUID != 0)); then
    printf '%-18s skipped (not root)\n' "${names[@]}"
    exit 0
fi

here=$(mktemp -d)
chmod 755 "$here"
work=$here
trap finish EXIT
trap 'exit 130' INT TERM HUP
data=${data:-$here/data}
prepare >"$here/log" 2>&1 || { tail -n 20 "$here/log" && exit 1; }
failed=0
for name in "${names[@]}"; do
    run_one "$name"
done
exit $((failed > 0))
