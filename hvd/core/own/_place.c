/* What all places of own metrics share, compiled: the same as places.py, which says what each store means. */

#include "_own.h"

int hvd_check_place(Place *self)
{
    if (self->cells == NULL)
        PyErr_SetString(PyExc_RuntimeError, "the place has no cells: its __init__ did not run, or failed");
    else if (self->is_ready)
        return hvd_call_before(self);
    else
        PyErr_Format(PyExc_ValueError, "%U metric is missing label values", self->kind);
    return 0;
}

/* places.py, Place.before_count; 0 with an exception set */
int hvd_call_before(Place *self)
{
    PyObject *function, *result;
    LOCKED(self)
    function = Py_XNewRef(self->before_count);
    UNLOCKED()
    if (function == NULL)
        return 1;
    result = PyObject_CallNoArgs(function);
    Py_DECREF(function);
    Py_XDECREF(result);
    return result != NULL;
}

/* To no function: NULL. */
static void set_before(Place *self, PyObject *function)
{
    PyObject *before;
    LOCKED(self)
    before = self->before_count;
    self->before_count = Py_XNewRef(function);
    __atomic_store_n(&self->waits, function != NULL, __ATOMIC_RELAXED);
    UNLOCKED()
    Py_XDECREF(before);
}

/* places.py, Place.add; -1 with an exception set */
int hvd_add(Place *self, Py_ssize_t index, PyObject *object)
{
    double amount;
    int is_int = PyLong_AsLong(PyTuple_GET_ITEM(self->kinds, index)) == INT, is_added = 0;
    if (is_int && PyLong_Check(object)) {
        int overflow;
        long long whole = PyLong_AsLongLongAndOverflow(object, &overflow);
        if (overflow)
            return 0;
        LOCKED(self)
        is_added = add_int(self, index, whole);
        UNLOCKED()
        return is_added;
    }
    if (!hvd_amount_of(object, &amount))
        return -1;
    LOCKED(self)
    if (!is_int)
        is_added = add_float(self, index, amount);
    else if (fabs(amount) < 9.2e18) /* else not even the conversion is defined */
        is_added = add_int(self, index, (int64_t)amount);
    UNLOCKED()
    return is_added;
}

/* Let go of target and cells, and begin with own ones, which are 0. */
static int begin(Place *self)
{
    int64_t *own = PyMem_Calloc((size_t)self->count * 2, 8), *old = self->own;
    if (own == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->own = self->found = own;
    self->cells = own + self->count;
    self->offset = 0;
    Py_CLEAR(self->target);
    PyMem_Free(old);
    return 0;
}

int hvd_place_init(Place *self, PyObject *args, PyObject *kwargs)
{
    PyObject *definition;
    int is_ready = 1;
    static char *names[] = {"definition", "is_ready", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$p", names, &definition, &is_ready))
        return -1;
    if (self->definition != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a place is made once");
        return -1;
    }
    self->definition = Py_NewRef(definition);
    self->kinds = PyObject_GetAttrString(definition, "cells");
    self->names = PyObject_GetAttrString(definition, "labels");
    self->kind = PyObject_GetAttrString(definition, "kind");
    self->children = PyDict_New();
    if (self->kinds == NULL || self->names == NULL || self->kind == NULL || self->children == NULL)
        return -1;
    if (!PyTuple_Check(self->kinds) || PyTuple_GET_SIZE(self->kinds) < 2 || !PyTuple_Check(self->names) ||
        !PyUnicode_Check(self->kind)) {
        PyErr_SetString(PyExc_TypeError, "that is no definition of a metric");
        return -1;
    }
    self->count = PyTuple_GET_SIZE(self->kinds);
    self->is_ready = (char)is_ready;
    return begin(self);
}

PyObject *hvd_place_forget(Place *self, PyObject *unused)
{
    int result;
    if (self->cells == NULL) {
        hvd_check_place(self);
        return NULL;
    }
    LOCKED(self)
    result = begin(self);
    UNLOCKED()
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *number_at(Place *self, Py_ssize_t index, int is_difference)
{
    int64_t now = load(self->cells + index), found = is_difference ? self->found[index] : 0;
    if (PyLong_AsLong(PyTuple_GET_ITEM(self->kinds, index)) == INT)
        return PyLong_FromLongLong((int64_t)((uint64_t)now - (uint64_t)found));
    return PyFloat_FromDouble(as_float(now) - (is_difference ? as_float(found) : 0));
}

static PyObject *counted(Place *self, PyObject *unused)
{
    if (self->cells == NULL) {
        hvd_check_place(self);
        return NULL;
    }
    PyObject *list = PyList_New(self->count);
    LOCKED(self)
    for (Py_ssize_t i = 0; list != NULL && i < self->count; i++) {
        PyObject *number = number_at(self, i, 1);
        if (number == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, number);
    }
    UNLOCKED()
    return list;
}

/* Add what was counted in other cells to those that the place has now. */
static void carry_counts(Place *self, const int64_t *cells, const int64_t *found)
{
    for (Py_ssize_t i = 0; i < self->count; i++)
        if (PyLong_AsLong(PyTuple_GET_ITEM(self->kinds, i)) == INT) {
            int64_t by = (int64_t)((uint64_t)load(cells + i) - (uint64_t)found[i]);
            if (by != 0)
                add_int(self, i, by);
        } else {
            double by = as_float(load(cells + i)) - as_float(found[i]);
            if (by != 0)
                add_float(self, i, by);
        }
}

PyObject *hvd_place_move(Place *self, PyObject *const *args, Py_ssize_t nargs, void (*carry)(Place *))
{
    if (self->cells == NULL) {
        hvd_check_place(self);
        return NULL;
    }
    if (nargs != 2 || !Py_IS_TYPE(args[0], &hvd_target_type))
        return PyErr_Format(PyExc_TypeError, "move() takes a target and an offset");
    Target *target = (Target *)args[0], *before;
    Py_ssize_t offset = PyLong_AsSsize_t(args[1]);
    if (offset < 1 || target->row == NULL || offset > target->count - self->count) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_ValueError, "a series at cell %zd is not within the row", offset);
        return NULL;
    }
    int64_t *found = PyMem_Malloc((size_t)self->count * 8), *own;
    if (found == NULL)
        return PyErr_NoMemory();
    LOCKED(self)
    const int64_t *cells = self->cells, *earlier = self->found;
    own = self->own;
    before = self->target;
    self->target = (Target *)Py_NewRef(target);
    self->cells = target->row + offset;
    self->offset = offset;
    self->own = self->found = found;
    for (Py_ssize_t i = 0; i < self->count; i++)
        found[i] = load(self->cells + i);
    if (carry != NULL)
        carry(self);
    else
        carry_counts(self, cells, earlier);
    UNLOCKED()
    Py_XDECREF(before);
    PyMem_Free(own);
    set_before(self, NULL);
    Py_RETURN_NONE;
}

static PyObject *move(Place *self, PyObject *const *args, Py_ssize_t nargs)
{
    return hvd_place_move(self, args, nargs, NULL);
}

static Py_ssize_t index_of(Place *self, PyObject *object)
{
    if (self->cells == NULL) {
        hvd_check_place(self);
        return -1;
    }
    Py_ssize_t index = PyLong_AsSsize_t(object);
    if (index < 0 || index >= self->count) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_IndexError, "cell %zd is not among the %zd of the series", index, self->count);
        return -1;
    }
    return index;
}

static PyObject *add(Place *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2)
        return PyErr_Format(PyExc_TypeError, "add() takes 2 arguments (%zd given)", nargs);
    Py_ssize_t index = index_of(self, args[0]);
    int is_added = index < 0 ? -1 : hvd_add(self, index, args[1]);
    return is_added < 0 ? NULL : PyBool_FromLong(is_added);
}

static PyObject *not_made(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyErr_SetNone(PyExc_NotImplementedError);
    return NULL;
}

static PyObject *check_ready(Place *self, PyObject *unused)
{
    return is_countable(self) ? Py_NewRef(Py_None) : NULL;
}

int hvd_place_traverse(Place *self, visitproc visit, void *arg)
{
    Py_VISIT(self->definition);
    Py_VISIT(self->children);
    Py_VISIT(self->before_count);
    return 0;
}

int hvd_place_clear(Place *self)
{
    if (self->children != NULL)
        PyDict_Clear(self->children); /* the place may be called yet */
    set_before(self, NULL);
    return 0;
}

void hvd_place_free(Place *self)
{
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->definition);
    Py_XDECREF(self->kinds);
    Py_XDECREF(self->names);
    Py_XDECREF(self->kind);
    Py_XDECREF(self->children);
    Py_XDECREF(self->before_count);
    Py_XDECREF(self->target);
    PyMem_Free(self->own);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *cell(PyObject *self, PyObject *index)
{
    if (index_of((Place *)self, index) < 0)
        return NULL;
    return PyObject_CallFunctionObjArgs((PyObject *)&hvd_cell_type, self, index, NULL);
}

static PyObject *get_before(Place *self, void *unused)
{
    PyObject *function;
    LOCKED(self)
    function = Py_NewRef(self->before_count == NULL ? Py_None : self->before_count);
    UNLOCKED()
    return function;
}

static int change_before(Place *self, PyObject *function, void *unused)
{
    set_before(self, function == Py_None ? NULL : function);
    return 0;
}

static PyGetSetDef place_properties[] = {
    {"before_count", (getter)get_before, (setter)change_before, NULL, NULL},
    {0},
};

/* The interpreter calls a method straight where it is of the very class of the object; of a base class' it looks first
 * whether the object may have it: 8 ns of 22. So a subclass gets the hot methods as its own, where nobody else's hide
 * them. */
static PyObject *adopt(PyTypeObject *class, PyObject *args, PyObject *kwargs)
{
    for (PyTypeObject *base = class; base != NULL; base = base->tp_base)
        for (PyMethodDef *method = base->tp_flags & Py_TPFLAGS_HEAPTYPE ? NULL : base->tp_methods;
             method != NULL && method->ml_name != NULL; method++) {
            if (method->ml_flags != (METH_FASTCALL | METH_KEYWORDS))
                continue;
            PyObject *known = PyObject_GetAttrString((PyObject *)class, method->ml_name), *own = NULL;
            if (known == NULL)
                return NULL;
            int is_ours = Py_IS_TYPE(known, &PyMethodDescr_Type) && ((PyMethodDescrObject *)known)->d_method == method;
            Py_DECREF(known);
            if (!is_ours)
                continue;
            if ((own = PyDescr_NewMethod(class, method)) == NULL)
                return NULL;
            int result = PyObject_SetAttrString((PyObject *)class, method->ml_name, own);
            Py_DECREF(own);
            if (result < 0)
                return NULL;
        }
    Py_RETURN_NONE;
}

static PyMethodDef place_methods[] = {
    {"__init_subclass__", (PyCFunction)(void (*)(void))adopt, METH_CLASS | METH_VARARGS | METH_KEYWORDS, NULL},
    {"forget", (PyCFunction)hvd_place_forget, METH_NOARGS, NULL},
    FASTCALL("move", move, NULL),
    {"counted", (PyCFunction)counted, METH_NOARGS, NULL},
    FASTCALL("add", add, NULL),
    {"cell", cell, METH_O, NULL},
    {"labels", (PyCFunction)(void (*)(void))hvd_labels, METH_FASTCALL | METH_KEYWORDS,
     "labels($self, *values, **named)\n--\n\nThe child of these label values."},
    {"find_child", (PyCFunction)(void (*)(void))not_made, METH_VARARGS | METH_KEYWORDS, NULL},
    {"keep_exemplar", (PyCFunction)(void (*)(void))not_made, METH_VARARGS | METH_KEYWORDS, NULL},
    {"_check_ready", (PyCFunction)check_ready, METH_NOARGS, NULL},
    {0},
};

static PyMemberDef place_members[] = {
    {"kinds", T_OBJECT_EX, offsetof(Place, kinds), READONLY, NULL},
    {"children", T_OBJECT_EX, offsetof(Place, children), READONLY, NULL},
    {"is_ready", T_BOOL, offsetof(Place, is_ready), READONLY, NULL},
    {0},
};

PyTypeObject hvd_place_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "hvd.core.own._own.Place",
    .tp_basicsize = sizeof(Place),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "See places.py.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)hvd_place_init,
    .tp_traverse = (traverseproc)hvd_place_traverse,
    .tp_clear = (inquiry)hvd_place_clear,
    .tp_dealloc = (destructor)hvd_place_free,
    .tp_methods = place_methods,
    .tp_members = place_members,
    .tp_getset = place_properties,
};
