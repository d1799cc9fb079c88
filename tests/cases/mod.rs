mod independent;
mod support;

mod accuracy;
mod crash;
mod under_load;
mod tmp;
