"""Native memory and the native runtime. Importing it installs the runtime as the linker of `@native` functions."""

from xdpsim.memory import runtime as runtime
