/* The only program of a guest: puts the questions of /script to bpf(2) and prints the answers on the console.
 *
 * A line of the script is one operation; what it makes is kept under a number ("slot") until `X`:
 *   M slot type key value entries flags inner btf key_type value_type extra    BPF_MAP_CREATE, answered under "M slot"
 *   B slot hex                           BPF_BTF_LOAD, answered likewise
 *   U slot key value inner               BPF_MAP_UPDATE_ELEM; inner: the slot whose handle is the value, or -1
 *   F slot                               BPF_MAP_FREEZE
 *   P id type attach flags licence btf func_info line_info relocations code    BPF_PROG_LOAD
 *   K id name                            whether some BTF of this kernel has the function
 *   X                                    closes every slot
 * Hex or "-" for nothing. A relocation is "m<slot>@<insn>" (map) or "k<name>@<insn>" (kernel function), joined by ','.
 * An answer is a line "@@ {...}".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SLOTS 512
#define LOG_BYTES (1 << 24)
#define LINE_BYTES (1 << 24)

static int slots[SLOTS];
static char *log_buf, *line;

struct btf_blob {
	uint8_t *data, *types, *types_end;
	const char *strings;
	uint32_t first_id, count, first_string, string_bytes;
	int fd;
};

static struct btf_blob blobs[128];
static int blob_count;

static long bpf(int command, union bpf_attr *attr)
{
	long result = syscall(__NR_bpf, command, attr, sizeof(*attr));

	return result < 0 ? -errno : result;
}

static uint8_t *unhex(const char *text, size_t *bytes)
{
	size_t n = strcmp(text, "-") ? strlen(text) / 2 : 0;
	uint8_t *data = calloc(1, n + 16);
	unsigned int byte;

	for (size_t at = 0; at < n; at++) {
		sscanf(text + 2 * at, "%2x", &byte);
		data[at] = byte;
	}
	*bytes = n;
	return data;
}

static void print_text(const char *text)
{
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '\n')
			printf("\\n");
		else if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 32)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
}

/* Only the end of a long log says why. */
static void answer(const char *id, long result, const char *log)
{
	size_t bytes = strlen(log);

	printf("@@ {\"id\": \"%s\", \"errno\": %ld, \"log\": \"", id, result < 0 ? -result : 0);
	print_text(bytes > 700 ? log + bytes - 700 : log);
	printf("\"}\n");
}

static size_t type_bytes(const struct btf_type *type)
{
	uint32_t vlen = BTF_INFO_VLEN(type->info), bytes = sizeof(*type);

	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_INT: return bytes + 4;
	case BTF_KIND_ARRAY: return bytes + sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION: return bytes + vlen * sizeof(struct btf_member);
	case BTF_KIND_ENUM: return bytes + vlen * sizeof(struct btf_enum);
	case BTF_KIND_ENUM64: return bytes + vlen * 12;
	case BTF_KIND_FUNC_PROTO: return bytes + vlen * sizeof(struct btf_param);
	case BTF_KIND_VAR: return bytes + sizeof(struct btf_var);
	case BTF_KIND_DATASEC: return bytes + vlen * sizeof(struct btf_var_secinfo);
	case BTF_KIND_DECL_TAG: return bytes + 4;
	default: return bytes;
	}
}

static void add_blob(uint8_t *data, int fd)
{
	struct btf_header *head = (void *)data;
	struct btf_blob *blob = &blobs[blob_count++], *base = blob_count > 1 ? &blobs[0] : NULL;

	blob->data = data;
	blob->types = data + head->hdr_len + head->type_off;
	blob->types_end = blob->types + head->type_len;
	blob->strings = (char *)data + head->hdr_len + head->str_off;
	blob->string_bytes = head->str_len;
	blob->first_id = base ? base->first_id + base->count : 1;
	blob->first_string = base ? base->string_bytes : 0;
	blob->fd = fd;
	for (uint8_t *at = blob->types; at < blob->types_end; at += type_bytes((void *)at))
		blob->count++;
}

static uint8_t *read_file(const char *path)
{
	int fd = open(path, O_RDONLY);
	size_t room = 1 << 24, bytes = 0;
	ssize_t got;
	uint8_t *data;

	if (fd < 0)
		return NULL;
	data = calloc(1, room);
	while ((got = read(fd, data + bytes, room - bytes)) > 0)
		bytes += got;
	close(fd);
	return data;
}

/* vmlinux first, then the modules, of which each continues its types and strings. */
static void find_blobs(void)
{
	uint8_t *vmlinux = read_file("/sys/kernel/btf/vmlinux");
	uint32_t id = 0;

	if (!vmlinux)
		return;
	add_blob(vmlinux, 0);
	for (;;) {
		union bpf_attr attr = { .start_id = id };
		struct bpf_btf_info info = { 0 };
		char name[64] = "", path[128];
		uint8_t *data;
		long fd;

		if (bpf(BPF_BTF_GET_NEXT_ID, &attr) < 0)
			return;
		id = attr.next_id;
		memset(&attr, 0, sizeof(attr));
		attr.btf_id = id;
		fd = bpf(BPF_BTF_GET_FD_BY_ID, &attr);
		if (fd < 0)
			continue;
		info.name = (uintptr_t)name;
		info.name_len = sizeof(name);
		memset(&attr, 0, sizeof(attr));
		attr.info.bpf_fd = fd;
		attr.info.info_len = sizeof(info);
		attr.info.info = (uintptr_t)&info;
		if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) < 0 || !info.kernel_btf || !strcmp(name, "vmlinux"))
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/btf/%s", name);
		data = read_file(path);
		if (data)
			add_blob(data, fd);
	}
}

static uint32_t find_function(const char *name, int *blob_at)
{
	for (int at = 0; at < blob_count; at++) {
		struct btf_blob *blob = &blobs[at];
		uint32_t id = blob->first_id;

		for (uint8_t *p = blob->types; p < blob->types_end; p += type_bytes((void *)p), id++) {
			struct btf_type *type = (void *)p;
			const char *text;

			if (BTF_INFO_KIND(type->info) != BTF_KIND_FUNC)
				continue;
			text = type->name_off >= blob->first_string ?
				blob->strings + type->name_off - blob->first_string :
				blobs[0].strings + type->name_off;
			if (!strcmp(text, name)) {
				*blob_at = at;
				return id;
			}
		}
	}
	return 0;
}

static char *word(char **rest)
{
	char *found = strsep(rest, " ");

	return found ? found : "-";
}

static long number(char **rest)
{
	return strtol(word(rest), NULL, 0);
}

static void create_map(char *rest)
{
	union bpf_attr attr = { 0 };
	char id[32];
	long slot = number(&rest), inner, btf;

	attr.map_type = number(&rest);
	attr.key_size = number(&rest);
	attr.value_size = number(&rest);
	attr.max_entries = number(&rest);
	attr.map_flags = number(&rest);
	inner = number(&rest);
	btf = number(&rest);
	if (inner >= 0)
		attr.inner_map_fd = slots[inner];
	if (btf >= 0) {
		attr.btf_fd = slots[btf];
		attr.btf_key_type_id = number(&rest);
		attr.btf_value_type_id = number(&rest);
	} else {
		number(&rest);
		number(&rest);
	}
	attr.map_extra = number(&rest);
	slots[slot] = bpf(BPF_MAP_CREATE, &attr);
	snprintf(id, sizeof(id), "M %ld", slot);
	answer(id, slots[slot], "");
}

static void load_btf(char *rest)
{
	union bpf_attr attr = { 0 };
	char id[32];
	long slot = number(&rest);
	size_t bytes;

	attr.btf = (uintptr_t)unhex(word(&rest), &bytes);
	attr.btf_size = bytes;
	attr.btf_log_buf = (uintptr_t)log_buf;
	attr.btf_log_size = LOG_BYTES;
	attr.btf_log_level = 1;
	log_buf[0] = 0;
	slots[slot] = bpf(BPF_BTF_LOAD, &attr);
	snprintf(id, sizeof(id), "B %ld", slot);
	answer(id, slots[slot], log_buf);
}

static void update_map(char *rest)
{
	union bpf_attr attr = { .map_fd = slots[number(&rest)] };
	size_t bytes;
	long inner;

	attr.key = (uintptr_t)unhex(word(&rest), &bytes);
	attr.value = (uintptr_t)unhex(word(&rest), &bytes);
	inner = number(&rest);
	if (inner >= 0)
		attr.value = (uintptr_t)&slots[inner];
	bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

static void relocate(char *relocations, struct bpf_insn *code, int *handles)
{
	char *one;

	while (strcmp(relocations, "-") && (one = strsep(&relocations, ",")) && *one) {
		char *at = strchr(one, '@');
		struct bpf_insn *insn = code + atoi(at + 1);
		int blob = 0;

		*at = 0;
		if (*one == 'm') {
			insn->imm = slots[atoi(one + 1)];
		} else {
			insn->imm = find_function(one + 1, &blob);
			insn->off = blob;
			handles[blob] = blobs[blob].fd;
		}
		if (!relocations)
			return;
	}
}

static void load_program(char *rest)
{
	union bpf_attr attr = { 0 };
	int handles[128] = { 0 };
	char *id = word(&rest), *relocations;
	size_t bytes;
	long btf, result;

	attr.prog_type = number(&rest);
	attr.expected_attach_type = number(&rest);
	attr.prog_flags = number(&rest);
	attr.license = (uintptr_t)word(&rest);
	btf = number(&rest);
	attr.prog_btf_fd = btf >= 0 ? slots[btf] : 0;
	attr.func_info = (uintptr_t)unhex(word(&rest), &bytes);
	attr.func_info_cnt = bytes / 8;
	attr.func_info_rec_size = bytes ? 8 : 0;
	attr.line_info = (uintptr_t)unhex(word(&rest), &bytes);
	attr.line_info_cnt = bytes / 16;
	attr.line_info_rec_size = bytes ? 16 : 0;
	relocations = word(&rest);
	attr.insns = (uintptr_t)unhex(word(&rest), &bytes);
	attr.insn_cnt = bytes / 8;
	relocate(relocations, (void *)(uintptr_t)attr.insns, handles);
	attr.fd_array = (uintptr_t)handles;
	attr.log_buf = (uintptr_t)log_buf;
	attr.log_size = LOG_BYTES;
	attr.log_level = 1;
	log_buf[0] = 0;
	result = bpf(BPF_PROG_LOAD, &attr);
	answer(id, result, result < 0 ? log_buf : "");
	if (result >= 0)
		close(result);
	free((void *)(uintptr_t)attr.insns);
	free((void *)(uintptr_t)attr.func_info);
	free((void *)(uintptr_t)attr.line_info);
}

static void freeze_map(char *rest)
{
	union bpf_attr attr = { .map_fd = slots[number(&rest)] };

	bpf(BPF_MAP_FREEZE, &attr);
}

static void has_function(char *rest)
{
	char *id = word(&rest);
	int blob;

	answer(id, find_function(word(&rest), &blob) ? 0 : -ENOENT, "");
}

static void close_slots(void)
{
	for (int at = 0; at < SLOTS; at++) {
		if (slots[at] > 0)
			close(slots[at]);
		slots[at] = 0;
	}
}

static void insert_modules(void)
{
	FILE *names = fopen("/modules", "r");
	char name[128];

	while (names && fscanf(names, "%127s", name) == 1) {
		int fd = open(name, O_RDONLY);

		if (fd < 0 || syscall(__NR_finit_module, fd, "", 0))
			printf("module %s: %s\n", name, strerror(errno));
		close(fd);
	}
}

int main(void)
{
	struct utsname name;
	FILE *script;

	mkdir("/sys", 0755);
	mkdir("/proc", 0755);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	insert_modules();
	find_blobs();
	log_buf = malloc(LOG_BYTES);
	line = malloc(LINE_BYTES);
	uname(&name);
	answer("release", 0, name.release);
	script = fopen("/script", "r");
	while (script && fgets(line, LINE_BYTES, script)) {
		char *rest = line + 2;

		line[strcspn(line, "\n")] = 0;
		switch (*line) {
		case 'M': create_map(rest); break;
		case 'B': load_btf(rest); break;
		case 'U': update_map(rest); break;
		case 'F': freeze_map(rest); break;
		case 'P': load_program(rest); break;
		case 'K': has_function(rest); break;
		case 'X': close_slots(); break;
		}
	}
	answer("end", 0, "");
	fflush(stdout);
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
