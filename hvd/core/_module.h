/* What is the same in each compiled module. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <structmember.h>

#define FASTCALL(name, function, doc) {name, (PyCFunction)(void (*)(void))function, METH_FASTCALL, doc}

#ifdef Py_GIL_DISABLED
#define HVD_WITHOUT_GIL {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#else
#define HVD_WITHOUT_GIL
#endif

/* The module of this name, which `execute` fills. */
#define HVD_MODULE(name, dotted_name, methods, execute)                                                                \
    static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute}, HVD_WITHOUT_GIL{0, NULL}};                       \
    static PyModuleDef module_definition = {                                                                           \
        PyModuleDef_HEAD_INIT, .m_name = dotted_name, .m_methods = methods, .m_slots = module_slots};                  \
    PyMODINIT_FUNC PyInit_##name(void)                                                                                 \
    {                                                                                                                  \
        return PyModuleDef_Init(&module_definition);                                                                   \
    }
