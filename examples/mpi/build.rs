//! Has the examples that train compiled for several processes.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(mpi)");
    println!("cargo::rustc-cfg=mpi");
}
