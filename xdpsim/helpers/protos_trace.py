"""Prototypes of the helpers that look at tasks, kernel memory and events, and of those for tracing, LSM and syscalls.

Follows kernel/trace/bpf_trace.c, kernel/bpf/stackmap.c, bpf_lsm.c, syscall.c, task_iter.c and drivers/media/rc of Linux
6.18.
"""

from __future__ import annotations

from xdpsim.helpers.proto_rows import proto

# events
proto("trace_printk", "MEM_RDONLY SIZE")
proto("trace_vprintk", "MEM_RDONLY SIZE MEM_RDONLY_OR_NULL SIZE_OR_ZERO")
proto("perf_event_output", "CTX CONST_MAP_PTR ANYTHING MEM_RDONLY SIZE_OR_ZERO")
proto("perf_event_read", "CONST_MAP_PTR ANYTHING")
proto("perf_event_read_value", "CONST_MAP_PTR ANYTHING UNINIT_MEM SIZE")
proto("perf_prog_read_value", "CTX UNINIT_MEM SIZE")
proto("read_branch_records", "CTX MEM_WRITE_OR_NULL SIZE_OR_ZERO ANYTHING")
proto("get_branch_snapshot", "UNINIT_MEM SIZE_OR_ZERO")
proto("skb_output", "BTF_ID CONST_MAP_PTR ANYTHING MEM_RDONLY SIZE_OR_ZERO", btf="sk_buff")
proto("xdp_output", "BTF_ID CONST_MAP_PTR ANYTHING MEM_RDONLY SIZE_OR_ZERO", btf="xdp_buff")
# kernel and user memory
proto("probe_read", "UNINIT_MEM SIZE_OR_ZERO ANYTHING")
proto("probe_read_str", "UNINIT_MEM SIZE_OR_ZERO ANYTHING")
proto("probe_read_user", "UNINIT_MEM SIZE_OR_ZERO ANYTHING")
proto("probe_read_kernel", "UNINIT_MEM SIZE_OR_ZERO ANYTHING")
proto("probe_read_user_str", "UNINIT_MEM SIZE_OR_ZERO ANYTHING")
proto("probe_read_kernel_str", "UNINIT_MEM SIZE_OR_ZERO ANYTHING")
proto("probe_write_user", "ANYTHING MEM_RDONLY SIZE")
proto("copy_from_user", "UNINIT_MEM SIZE_OR_ZERO ANYTHING", might_sleep=True)
proto("copy_from_user_task", "UNINIT_MEM SIZE_OR_ZERO ANYTHING BTF_ID ANYTHING", btf="task_struct", might_sleep=True)
# tasks
proto("get_current_task", "")
proto("get_current_task_btf", "", "BTF_ID_TRUSTED", ret_btf="task_struct")
proto("task_pt_regs", "BTF_ID", "BTF_ID", btf="task_struct", ret_btf="pt_regs")
proto("get_task_stack", "BTF_ID UNINIT_MEM SIZE_OR_ZERO ANYTHING", btf="task_struct")
proto("find_vma", "BTF_ID ANYTHING FUNC STACK_OR_NULL ANYTHING", btf="task_struct", calls_back="find_vma")
proto("send_signal", "ANYTHING")
proto("send_signal_thread", "ANYTHING")
proto("get_stackid", "CTX CONST_MAP_PTR ANYTHING")
proto("get_stack", "CTX UNINIT_MEM SIZE_OR_ZERO ANYTHING")
# probes
proto("override_return", "CTX ANYTHING")
proto("get_func_ip", "CTX")
proto("get_attach_cookie", "CTX")
proto("get_func_arg", "CTX ANYTHING FIXED_MEM_8_UNINIT")
proto("get_func_ret", "CTX FIXED_MEM_8_UNINIT")
proto("get_func_arg_cnt", "CTX")
# text
proto("snprintf_btf", "MEM_WRITE SIZE MEM_RDONLY SIZE ANYTHING")
proto("seq_printf", "BTF_ID MEM_RDONLY SIZE MEM_RDONLY_OR_NULL SIZE_OR_ZERO", btf="seq_file")
proto("seq_write", "BTF_ID MEM_RDONLY SIZE_OR_ZERO", btf="seq_file")
proto("seq_printf_btf", "BTF_ID MEM_RDONLY SIZE_OR_ZERO ANYTHING", btf="seq_file")
proto("d_path", "BTF_ID MEM_WRITE SIZE_OR_ZERO", btf="path", allowed="bpf_d_path_allowed")
# security modules, files
proto("bprm_opts_set", "BTF_ID ANYTHING", btf="linux_binprm")
proto("ima_inode_hash", "BTF_ID UNINIT_MEM SIZE", btf="inode", might_sleep=True, allowed="bpf_ima_inode_hash_allowed")
proto("ima_file_hash", "BTF_ID UNINIT_MEM SIZE", btf="file", might_sleep=True, allowed="bpf_ima_inode_hash_allowed")
proto("sock_from_file", "BTF_ID", "BTF_ID_OR_NULL", btf="file", ret_btf="socket")
# programs of type SYSCALL
proto("sys_bpf", "ANYTHING MEM_RDONLY SIZE")
proto("sys_close", "ANYTHING")
proto("btf_find_by_name_kind", "MEM_RDONLY SIZE ANYTHING ANYTHING")
proto("kallsyms_lookup_name", "MEM_RDONLY SIZE_OR_ZERO ANYTHING FIXED_MEM_8_UNINIT")
# infra-red receivers
proto("rc_repeat", "CTX")
proto("rc_keydown", "CTX ANYTHING ANYTHING ANYTHING")
proto("rc_pointer_rel", "CTX ANYTHING ANYTHING")
