mod independent;
mod support;

mod accuracy;
