"""Show the photos, take a new one, delete one."""

from functools import partial

from django.core.cache import cache
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from gallery.forms import PhotoForm
from gallery.models import Photo
from gallery.tasks import COUNT, finish_photo


def photos(request: HttpRequest) -> HttpResponse:
    form = PhotoForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            photo = form.save()
            # Not before the commit: the worker would look for a photo that is not there yet.
            transaction.on_commit(partial(finish_photo.delay, photo.pk))
        return redirect("photos")
    shown = {"form": form, "photos": Photo.objects.all()[:50], "count": cache.get(COUNT)}
    return render(request, "photos.html", shown, status=400 if form.is_bound else 200)


@require_POST
def delete(request: HttpRequest, id: int) -> HttpResponse:
    photo = get_object_or_404(Photo, pk=id)
    photo.delete()
    photo.image.delete(save=False)
    photo.thumbnail.delete(save=False)
    return redirect("photos")


def health(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "pass"})
