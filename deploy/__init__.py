"""The top floor: conversion as one step, and the command line."""
