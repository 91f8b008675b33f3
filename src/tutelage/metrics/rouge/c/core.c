/* What ROUGE spends its time on: texts to numbered words, n-grams that two texts share, common
   subsequences. tokens.py, counts.py, lcs.py and NLTK's stemmer say what is to be found, and find the same without it. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdlib.h>
#include <string.h>

#include "core.h"

enum { REVISION = 1 };
uint64_t tutelage_seed;

/* A bytearray for so many rows of numbers of so many bytes; NULL with an error set. */
static PyObject *
new_numbers(size_t rows, size_t count, size_t bytes)
{
    if (rows > 0 && count > PY_SSIZE_T_MAX / bytes / rows) {
        return PyErr_NoMemory();
    }
    return PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(rows * count * bytes));
}

static void *
numbers_of(PyObject *bytearray)
{
    return PyByteArray_AsString(bytearray);
}

/* What a list's str or bytes hold in UTF-8, which they keep; NULL with an error set. */
static tutelage_text *
texts_of(PyObject *list, size_t count)
{
    tutelage_text *texts = malloc((count + 1) * sizeof(tutelage_text));
    if (texts == NULL) {
        return (void *)PyErr_NoMemory();
    }
    for (size_t i = 0; i < count; i++) {
        PyObject *held = PyList_GetItem(list, (Py_ssize_t)i);
        char *letters = NULL;
        Py_ssize_t size = 0;
        if (held != NULL && PyUnicode_Check(held)) {
            letters = (char *)PyUnicode_AsUTF8AndSize(held, &size);
        }
        else if (held == NULL || PyBytes_AsStringAndSize(held, &letters, &size) < 0) {
            letters = NULL;
        }
        if (letters == NULL) {
            free(texts);
            return NULL;
        }
        texts[i] = (tutelage_text){(const unsigned char *)letters, (size_t)size};
    }
    return texts;
}

static PyObject *
intern(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *given;
    int stem;
    if (!PyArg_ParseTuple(args, "O!p:intern", &PyList_Type, &given, &stem)) {
        return NULL;
    }
    /* A list of our own: nobody else can take a text out of it. */
    PyObject *list = PyList_GetSlice(given, 0, PyList_Size(given));
    if (list == NULL) {
        return NULL;
    }
    size_t count = (size_t)PyList_Size(list);
    PyObject *ids = NULL, *starts = NULL, *result = NULL;
    tutelage_ids numbers = {NULL, 0, 0, 0};
    tutelage_text *texts = texts_of(list, count);
    if (texts != NULL && (starts = new_numbers(1, count + 1, sizeof(int64_t))) != NULL) {
        int64_t *into = numbers_of(starts);
        bool whole;
        Py_BEGIN_ALLOW_THREADS
        whole = tutelage_number(texts, count, stem != 0, &numbers, into);
        Py_END_ALLOW_THREADS
        if (!whole) {
            PyErr_NoMemory();
        }
        else if ((ids = new_numbers(1, numbers.count, sizeof(int32_t))) != NULL) {
            if (numbers.count > 0) {
                memcpy(numbers_of(ids), numbers.ids, numbers.count * sizeof(int32_t));
            }
            result = Py_BuildValue("OOn", ids, starts, (Py_ssize_t)numbers.different + 1);
        }
    }
    free(numbers.ids);
    free(texts);
    Py_XDECREF(ids);
    Py_XDECREF(starts);
    Py_DECREF(list);
    return result;
}

static PyObject *
stem(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *given;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "y#:stem", &given, &length)) {
        return NULL;
    }
    unsigned char *letters = malloc((size_t)length + 1);
    if (letters == NULL) {
        return PyErr_NoMemory();
    }
    memcpy(letters, given, (size_t)length);
    size_t size = tutelage_stem(letters, (size_t)length);
    PyObject *found = PyBytes_FromStringAndSize((const char *)letters, (Py_ssize_t)size);
    free(letters);
    return found;
}

static void
discard(tutelage_pairs *own)
{
    free(own->ids);
    free(own->starts);
}

/* Copies of a caller's numbers, each of them checked, so that nothing is read or written that is not there,
   whatever is given and whoever changes it meanwhile. False with an error set; then nothing is to be discarded. */
static bool
copy_pairs(const Py_buffer *ids, const Py_buffer *starts, Py_ssize_t size, tutelage_pairs *own)
{
    size_t words = (size_t)ids->len / sizeof(int32_t), ends = (size_t)starts->len / sizeof(int64_t);
    if (words * sizeof(int32_t) != (size_t)ids->len || ends * sizeof(int64_t) != (size_t)starts->len || ends % 2 == 0) {
        PyErr_SetString(PyExc_ValueError, "ids hold int32, and starts an odd number of int64");
        return false;
    }
    if (size < 0 || size > INT32_MAX || ends > INT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "size and the number of texts must lie between 0 and 2 ** 31 - 1");
        return false;
    }
    *own = (tutelage_pairs){NULL, NULL, ends / 2, (size_t)size, 0};
    own->ids = malloc((size_t)ids->len + 1);
    own->starts = malloc(ends * sizeof(size_t));
    if (own->ids == NULL || own->starts == NULL) {
        PyErr_NoMemory();
        discard(own);
        return false;
    }
    memcpy(own->ids, ids->buf, (size_t)ids->len);
    bool wrong = false;
    for (size_t i = 0; i < words; i++) {
        wrong |= (own->ids[i] < 0) | (own->ids[i] >= size);
    }
    uint64_t last = 0;
    for (size_t i = 0; i < ends; i++) {
        uint64_t start, length;
        memcpy(&start, (const char *)starts->buf + i * sizeof(start), sizeof(start)); /* it may lie anywhere */
        length = start - last;
        wrong |= start < last || start > words || length > TUTELAGE_LONGEST || (i == 0 && start != 0);
        own->starts[i] = (size_t)start;
        own->longest = length > own->longest ? (size_t)length : own->longest;
        last = start;
    }
    if (wrong || last != words) {
        PyErr_SetString(PyExc_ValueError,
                        "ids must lie between 0 and size - 1, and starts rise from 0 to the number of ids");
        discard(own);
        return false;
    }
    return true;
}

/* What `overlaps` counts for so many orders, or with 0 of them the lengths that `lcs` gives. */
static PyObject *
counted(const Py_buffer *ids, const Py_buffer *starts, Py_ssize_t size, size_t orders)
{
    tutelage_pairs own;
    if (!copy_pairs(ids, starts, size, &own)) {
        return NULL;
    }
    PyObject *numbers = new_numbers(orders == 0 ? 1 : orders, own.pairs, sizeof(int64_t));
    if (numbers != NULL) {
        int64_t *into = numbers_of(numbers);
        bool whole;
        Py_BEGIN_ALLOW_THREADS
        whole = orders == 0 ? tutelage_lcs(&own, into) : tutelage_matches(&own, orders, into);
        Py_END_ALLOW_THREADS
        if (!whole) {
            Py_CLEAR(numbers);
            PyErr_NoMemory();
        }
    }
    discard(&own);
    return numbers;
}

static PyObject *
overlaps(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer ids, starts;
    Py_ssize_t size, orders;
    PyObject *hits = NULL;
    if (!PyArg_ParseTuple(args, "y*y*nn:overlaps", &ids, &starts, &size, &orders)) {
        return NULL;
    }
    if (orders < 1) {
        PyErr_SetString(PyExc_ValueError, "orders must be at least 1");
    }
    else {
        hits = counted(&ids, &starts, size, (size_t)orders);
    }
    PyBuffer_Release(&ids);
    PyBuffer_Release(&starts);
    return hits;
}

static PyObject *
lcs(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer ids, starts;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "y*y*n:lcs", &ids, &starts, &size)) {
        return NULL;
    }
    PyObject *lengths = counted(&ids, &starts, size, 0);
    PyBuffer_Release(&ids);
    PyBuffer_Release(&starts);
    return lengths;
}

static int
fill(PyObject *module)
{
    PyObject *name = PyUnicode_FromString("tutelage.metrics.rouge");
    Py_hash_t hash = name == NULL ? -1 : PyObject_Hash(name);
    Py_XDECREF(name);
    if (hash == -1) {
        return -1;
    }
    tutelage_seed = tutelage_mix((uint64_t)hash);
    return PyModule_AddIntConstant(module, "REVISION", REVISION);
}

static PyMethodDef METHODS[] = {
    {"intern", intern, METH_VARARGS,
     "intern(texts, stem, /)\n--\n\n"
     "Ids as int32, starts as int64 and the ids' size, of a list of ASCII str or bytes in UTF-8."},
    {"stem", stem, METH_VARARGS, "stem(word, /)\n--\n\nThe stem of a lower-case ASCII word."},
    {"overlaps", overlaps, METH_VARARGS,
     "overlaps(ids, starts, size, orders, /)\n--\n\n"
     "Matches as int64 of shape (orders, pairs), for the orders 1 to `orders`."},
    {"lcs", lcs, METH_VARARGS,
     "lcs(ids, starts, size, /)\n--\n\n"
     "Lengths of longest common subsequences as int64 of shape (pairs,)."},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, (void *)fill}, {0, NULL}};
static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_core", NULL, 0, METHODS, SLOTS, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&MODULE);
}
