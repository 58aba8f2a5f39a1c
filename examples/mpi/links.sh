#!/usr/bin/env bash
# Runs a program over MPI with each rank in a network namespace of its own. The ranks reach each
# other over links of a limited rate, and nothing else.
#
#   examples/mpi/links.sh RANKS RATE PROGRAM ARGUMENTS...
#   examples/mpi/links.sh 2 1gbit target/release/communication --preset large
#
# RATE is one of tc's (`none` for no limit). Each rank is bound to one core. Needs root, and
# Debian's packages iproute2 and mpich.
set -euo pipefail

# What mpiexec calls instead of ssh: [OPTIONS] ADDRESS COMMAND...
if [ "${NDALBERT_NAMESPACES:-}" ]; then
  while [[ $1 == -* ]]; do shift; done
  address=$1
  shift
  exec ip netns exec "$NDALBERT_NAMESPACES-$((${address##*.} - 1))" sh -c "$*"
fi

ranks=$1 rate=$2
shift 2
export NDALBERT_NAMESPACES=ndalbert-$$
namespace() { echo "$NDALBERT_NAMESPACES-$1"; }

remove() {
  for name in switch $(seq 0 $((ranks - 1))); do
    ip netns del "$(namespace "$name")" 2>/dev/null || true
  done
}
trap remove EXIT

ip netns add "$(namespace switch)"
ip -n "$(namespace switch)" link add switch type bridge
ip -n "$(namespace switch)" link set switch up
hosts=
for rank in $(seq 0 $((ranks - 1))); do
  name=$(namespace "$rank")
  ip netns add "$name"
  ip link add link0 netns "$name" type veth peer name "port$rank" netns "$(namespace switch)"
  ip -n "$(namespace switch)" link set "port$rank" master switch up
  ip -n "$name" address add "10.77.0.$((rank + 1))/24" dev link0
  ip -n "$name" link set lo up
  ip -n "$name" link set link0 up
  # Ranks send and receive at once, as much in each direction: what they send is limited. A bucket
  # of 4 ms, so that the rate does not depend on how often the kernel's timer ticks.
  if [ "$rate" != none ]; then
    bytes=$(($(numfmt --from=si "$(tr a-z A-Z <<<"${rate%bit}")") / 8))
    tc -n "$name" qdisc add dev link0 root tbf rate "$rate" burst $((bytes / 250)) limit $((bytes / 50))
  fi
  hosts=$hosts${hosts:+,}10.77.0.$((rank + 1))
done

# UCX, which Debian's MPICH uses, would find that ranks share memory.
export UCX_TLS=tcp,self UCX_NET_DEVICES=link0
one_core='exec taskset -c $((PMI_RANK % $(nproc))) "$@"'
ip netns exec "$(namespace 0)" mpiexec -launcher ssh -launcher-exec "$(realpath "$0")" -iface link0 \
  -hosts "$hosts" -ppn 1 -n "$ranks" sh -c "$one_core" sh "$@"
